package node

import (
	"reflect"
	"strings"
	"testing"
)

func TestConfigReportsEveryFaultAtOnce(t *testing.T) {
	bad := Config{
		Bootstrap:     Configuration{Members: []Member{{ID: 2, Suffrage: 5}}},
		ElectionTicks: 2, HeartbeatTicks: 3,
		CommandBytesMax: -1, UncommittedBytesMax: -2, UnappliedBytesMax: -9, MessageBytesMax: -3, InflightMessagesMax: -4,
		InflightBytesMax: -5, ReadsMax: -6, SnapshotEntries: -7, SnapshotHoldEntries: -8,
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no fault is found")
	}
	for _, want := range []string{
		"ID is 0", "Bootstrap: ", "without a voter", "suffrage(5)", "does not name member 0",
		"HeartbeatTicks (3) must be less than ElectionTicks (2)",
		"CommandBytesMax is -1", "UncommittedBytesMax is -2", "UnappliedBytesMax is -9",
		"MessageBytesMax is -3", "InflightMessagesMax is -4",
		"InflightBytesMax is -5", "ReadsMax is -6", "SnapshotEntries is -7", "SnapshotHoldEntries is -8",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not mentioned in\n%v", want, err)
		}
	}
	if _, newErr := New(bad, NewMemoryLog(1)); newErr == nil || newErr.Error() != err.Error() {
		t.Errorf("New says %v", newErr)
	}
}

func TestConfigFaultsOneByOne(t *testing.T) {
	for want, c := range map[string]Config{
		"ElectionTicks is -1":                     {ID: 1, ElectionTicks: -1},
		"HeartbeatTicks is -1":                    {ID: 1, HeartbeatTicks: -1},
		"must be less than ElectionTicks (10)":    {ID: 1, HeartbeatTicks: 10},
		"ElectionTicks is 1073741825: at most":    {ID: 1, ElectionTicks: ticksMax + 1},
		"InflightMessagesMax is 65537: at most":   {ID: 1, InflightMessagesMax: inflightMessagesCap + 1},
		"Bootstrap does not name member 4 itself": {ID: 4, Bootstrap: Voters(1, 2, 3)},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", c, err, want)
		}
	}
}

func TestConfigOfNothingButAnIDIsGood(t *testing.T) {
	c := Config{ID: 1}
	must(t, c.Validate())
	if !reflect.DeepEqual(c, Config{ID: 1}) {
		t.Errorf("Validate has changed it: %+v", c)
	}
	full := c.withDefaults()
	v := reflect.ValueOf(full)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Type.Kind() == reflect.Int && v.Field(i).Int() <= 0 {
			t.Errorf("the default of %s is %d", field.Name, v.Field(i).Int())
		}
	}
}

func TestConfigTakesUnlimitedAndNone(t *testing.T) {
	c := Config{ID: 1, SnapshotEntries: Unlimited, UncommittedBytesMax: Unlimited, RetainEntries: -1, SnapshotHoldTicks: -1}
	must(t, c.Validate())
	full := c.withDefaults()
	equal(t, "retained", full.RetainEntries, 0)
	equal(t, "held", full.SnapshotHoldTicks, 0)
}
