package raftactor_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	modulePath    = "example.com/raftactor"
	protoActor    = "github.com/asynkron/protoactor-go"
	fileLinesMax  = 600
	funcLinesMax  = 100
	harnessSuffix = "test" // node/nodetest, persist/persisttest: harnesses for tests
)

// An arrow is a row of the table of who may import whom: what a top-level
// directory and everything below it may import, apart from itself.
type arrow struct {
	ours      []string // top-level directories of this module
	libraries []string // other modules or packages, with all below them
	noStd     []string // forbidden packages of the standard library, with all below them
	noLibrary []string // exceptions from libraries
	noGo      bool     // starts no goroutine
}

// arrows is the figure in ARCHITECTURE.md. Examples, and the tests of every
// package, import what they like.
var arrows = map[string]arrow{
	"node": {
		// No clock, no I/O, no goroutine, no global source of randomness; the
		// second line is the ways around the first.
		noStd: []string{
			"time", "os", "net", "sync", "math/rand",
			"C", "context", "crypto/rand", "log", "syscall",
		},
		noGo: true,
	},
	"timer": {},
	"mailbox": {
		libraries: []string{protoActor},
		noLibrary: []string{protoActor + "/remote", protoActor + "/cluster"},
	},
	"actor": {
		ours: []string{"node", "mailbox", "timer"},
		libraries: []string{
			protoActor, "google.golang.org/protobuf", "github.com/hashicorp/go-hclog",
			"go.opentelemetry.io/otel",
		},
		// Both link gRPC, which a program of one process does without.
		noLibrary: []string{protoActor + "/remote", protoActor + "/cluster"},
	},
	"persist": {
		ours:      []string{"node"},
		libraries: []string{"github.com/hashicorp/go-hclog"},
	},
	"cmd": {
		ours: []string{"persist"},
	},
	"remote": {
		ours: []string{"node"},
		libraries: []string{
			protoActor, "google.golang.org/protobuf", "google.golang.org/grpc",
			"github.com/hashicorp/go-hclog", "go.opentelemetry.io/otel",
		},
	},
}

// ourNames are the names under which our packages that share theirs with one
// of Proto.Actor's are imported: bare actor and remote are always Proto.Actor's.
var ourNames = map[string]string{
	modulePath + "/actor":  "raft",
	modulePath + "/remote": "raftremote",
}

// sleepless are the directories whose tests never sleep.
var sleepless = []string{"node", "timer", "persist", "mailbox"}

// A source is one parsed Go file.
type source struct {
	path string // slash-separated, from the root of the module
	fset *token.FileSet
	file *ast.File
}

func parseSource(path string, text []byte) (*source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	return &source{path, fset, file}, err
}

func (s *source) dir() string     { return path.Dir(s.path) }
func (s *source) isTest() bool    { return strings.HasSuffix(s.path, "_test.go") }
func (s *source) isMain() bool    { return s.file.Name.Name == "main" }
func (s *source) generated() bool { return ast.IsGenerated(s.file) }

// top is the first directory of the path: the package that this one belongs to.
func (s *source) top() string {
	top, _, _ := strings.Cut(s.dir(), "/")
	return top
}

// isHarness reports whether the file is of a package made for tests.
func (s *source) isHarness() bool {
	return s.dir() != s.top() && strings.HasSuffix(s.dir(), harnessSuffix)
}

func (s *source) line(pos token.Pos) int { return s.fset.Position(pos).Line }

func (s *source) finding(pos token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", s.path, s.line(pos)) + fmt.Sprintf(format, args...)
}

// rules are all that a tree is checked for. Each returns what it finds wrong.
var rules = map[string]func([]*source) []string{
	"arrows":      eachFile(checkArrows),
	"importNames": eachFile(checkImportNames),
	"packageDoc":  checkPackageDoc,
	"exportedDoc": eachFile(checkExportedDoc),
	"size":        eachFile(checkSize),
	"sleep":       eachFile(checkSleep),
}

func eachFile(check func(*source) []string) func([]*source) []string {
	return func(tree []*source) []string {
		var found []string
		for _, s := range tree {
			found = append(found, check(s)...)
		}
		return found
	}
}

func importPath(spec *ast.ImportSpec) string {
	p, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
	return p
}

// isBelow reports whether p is one of the roots or below one.
func isBelow(p string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return p == root || strings.HasPrefix(p, root+"/")
	})
}

// checkArrows holds what is not a test to the table of arrows. A harness for
// tests may import what its package may, and every library.
func checkArrows(s *source) []string {
	if s.isTest() || s.dir() == "." || s.top() == "examples" {
		return nil
	}
	arrow, ok := arrows[s.top()]
	if !ok {
		return []string{s.finding(s.file.Package, "%s has no row in the table of arrows", s.top())}
	}
	var found []string
	for _, spec := range s.file.Imports {
		p := importPath(spec)
		first, _, _ := strings.Cut(p, "/")
		ours, isOurs := strings.CutPrefix(p, modulePath+"/")
		allowed := false
		switch {
		case isOurs && !s.isHarness() && strings.HasSuffix(ours, harnessSuffix):
			// Only tests and other harnesses import a harness.
		case isOurs:
			allowed = isBelow(ours, append([]string{s.top()}, arrow.ours...))
		case s.isHarness():
			allowed = true
		case !strings.Contains(first, "."): // the standard library
			allowed = !isBelow(p, arrow.noStd)
		default:
			allowed = isBelow(p, arrow.libraries) && !isBelow(p, arrow.noLibrary)
		}
		if !allowed {
			found = append(found, s.finding(spec.Pos(), "%s must not import %s", s.dir(), p))
		}
	}
	if arrow.noGo && !s.isHarness() {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if stmt, ok := n.(*ast.GoStmt); ok {
				found = append(found, s.finding(stmt.Pos(), "%s must not start a goroutine", s.dir()))
			}
			return true
		})
	}
	return found
}

// checkImportNames keeps bare actor and remote for Proto.Actor's packages.
func checkImportNames(s *source) []string {
	if s.generated() {
		return nil
	}
	var found []string
	for _, spec := range s.file.Imports {
		p := importPath(spec)
		explicit, name := "", path.Base(p)
		if spec.Name != nil {
			explicit, name = spec.Name.Name, spec.Name.Name
		}
		theirs := strings.HasPrefix(p, protoActor+"/")
		if want := ourNames[p]; want != "" && explicit != want {
			found = append(found, s.finding(spec.Pos(), "import it as %s %q", want, p))
		} else if (name == "actor" || name == "remote") && (!theirs || path.Base(p) != name) {
			found = append(found, s.finding(spec.Pos(), "%s is Proto.Actor's name, not that of %s", name, p))
		}
	}
	return found
}

// checkPackageDoc wants a package comment in every package: in doc.go, or
// anywhere in a command.
func checkPackageDoc(tree []*source) []string {
	documented := map[string]bool{}
	for _, s := range tree {
		name := s.file.Name.Name
		switch {
		case s.isTest() || s.file.Doc == nil:
		case s.isMain():
			documented[s.dir()] = true
		case path.Base(s.path) == "doc.go" &&
			strings.HasPrefix(s.file.Doc.Text(), "Package "+name+" "):
			documented[s.dir()] = true
		}
	}
	var found []string
	for _, s := range tree {
		if s.isTest() || documented[s.dir()] {
			continue
		}
		documented[s.dir()] = true // once per package is enough
		want := `doc.go with a comment that starts "Package ` + s.file.Name.Name + ` "`
		if s.isMain() {
			want = "package comment"
		}
		found = append(found, fmt.Sprintf("%s: package has no %s", s.dir(), want))
	}
	return found
}

// checkSize limits files and functions outside tests.
func checkSize(s *source) []string {
	if s.isTest() || s.generated() {
		return nil
	}
	var found []string
	if n := s.line(s.file.FileEnd - 1); n > fileLinesMax {
		found = append(found, s.finding(s.file.Package, "file has %d lines, more than %d", n, fileLinesMax))
	}
	for _, decl := range s.file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := s.line(f.End()) - s.line(f.Pos()) + 1; n > funcLinesMax {
			found = append(found, s.finding(f.Pos(), "%s has %d lines, more than %d", f.Name, n, funcLinesMax))
		}
	}
	return found
}

// checkSleep finds time.Sleep in tests, under whatever name time is imported.
func checkSleep(s *source) []string {
	if !slices.Contains(sleepless, s.top()) || !s.isTest() && !s.isHarness() {
		return nil
	}
	clock := "" // no name: nothing matches
	for _, spec := range s.file.Imports {
		if importPath(spec) == "time" {
			clock = "time"
			if spec.Name != nil {
				clock = spec.Name.Name
			}
		}
	}
	var found []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != "Sleep" {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == clock {
			found = append(found, s.finding(sel.Pos(), "a test of %s must not sleep", s.top()))
		}
		return true
	})
	return found
}
