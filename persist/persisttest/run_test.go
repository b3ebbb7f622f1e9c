package persisttest

import (
	"testing"
	"time"
)

func TestASoundStorePasses(t *testing.T) {
	Run(t, func(*testing.T) Subject { return newSampleStore("").subject() })
}

// A suite that cannot fail proves nothing: each of these stores is broken in one way, and the check finds it.
func TestBrokenStoresAreRejected(t *testing.T) {
	for flaw, by := range map[string]string{
		"all lives are one":                             "each member has a life of its own",
		"a new life at each opening":                    "a new member is empty",
		"a member is handed out twice":                  "a member is handed out once at a time",
		"groups share members":                          "members do not mix",
		"any cluster is welcome":                        "a store belongs to one cluster",
		"the cluster is forgotten":                      "a store belongs to one cluster",
		"members do not outlive the store":              "a new member is empty",
		"closing forgets the vote":                      "the last hard state stays",
		"the life that was voted for is lost":           "the last hard state stays",
		"nobody is forgotten":                           "who was met stays until it is forgotten",
		"the founding configuration is lost":            "the founding configuration stays",
		"nothing staged can be read":                    "what is appended is read",
		"memory has no limits":                          "reading keeps to its limits",
		"truncation leaves one entry":                   "truncated entries are gone",
		"truncation writes over what was read":          "entries that were read do not change",
		"one configuration is enough":                   "configurations are found",
		"data has no more than a MiB":                   "large entries",
		"gaps are welcome":                              "what cannot be done is refused",
		"anything can be truncated":                     "what cannot be done is refused",
		"compaction can do anything":                    "what cannot be done is refused",
		"compaction keeps no tail":                      "compaction keeps a tail",
		"no entry needs the term before it":             "compaction through the last entry",
		"installing keeps what follows":                 "an installed snapshot takes the place of the log",
		"syncs are not answered":                        "every sync is answered",
		"syncs are answered with an earlier number":     "every sync is answered",
		"syncs are answered with a later number":        "every sync is answered",
		"syncs fail":                                    "every sync is answered",
		"syncs are done before they are":                "what is appended is read",
		"what is not in memory has an error of its own": "entries are read from the disk",
		"the disk has no limits":                        "entries are read from the disk",
		"truncated entries come back from the disk":     "what is not synced is in memory",
		"the disk is read one behind":                   "entries are read from the disk",
		"reading what was released is an error":         "released entries are not read",
		"there is one snapshot for all":                 "snapshots are written and read side by side",
		"snapshots keep the writer's slices":            "a snapshot is read by the handle of its commit",
		"snapshots end after a MiB":                     "a snapshot is read by the handle of its commit",
		"snapshots do not outlive the store":            "a snapshot is read by the handle of its commit",
		"snapshots end without io.EOF":                  "a snapshot is read at any offset",
		"snapshots are read in blocks":                  "a snapshot is read at any offset",
		"replaced snapshots cannot be read":             "a snapshot stays readable while it is replaced",
		"replaced snapshots stay":                       "snapshots that nobody needs are removed",
		"aborted snapshots stay":                        "an aborted snapshot leaves no trace",
		"aborting takes back what was committed":        "a snapshot is read by the handle of its commit",
		"dropping one snapshot drops all":               "a dropped snapshot leaves the others",
		"dropped snapshots stay":                        "a dropped snapshot leaves the others",
	} {
		t.Run(flaw, func(t *testing.T) {
			// What a broken store does not do at all need not be waited for.
			if faults := checkNamed(t, by).run(newSampleStore(flaw).subject(), 100*time.Millisecond); len(faults) == 0 {
				t.Errorf("%q finds nothing wrong", by)
			}
		})
	}
}

func checkNamed(t *testing.T, name string) check {
	t.Helper()
	for _, c := range checks() {
		if c.name == name {
			return c
		}
	}
	t.Fatalf("there is no check %q", name)
	return check{}
}

func TestEachCheckHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range checks() {
		if seen[c.name] {
			t.Errorf("two checks are called %q", c.name)
		}
		seen[c.name] = true
	}
}
