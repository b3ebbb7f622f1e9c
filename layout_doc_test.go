package raftactor_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// undocumented are the methods that say all with their name, since a well-known
// interface of the standard library says what they do.
var undocumented = []string{"Error", "Is", "As", "Unwrap", "String"}

// checkExportedDoc wants a comment on everything that go doc shows at the top
// level of a package, and on the methods of exported types. It starts with the
// name; for constants and variables, one comment on their block will do.
func checkExportedDoc(s *source) []string {
	if s.isTest() || s.isMain() || s.generated() {
		return nil
	}
	var found []string
	want := func(name *ast.Ident, doc *ast.CommentGroup) {
		if name.IsExported() && !startsWithName(doc, name.Name) {
			found = append(found, s.finding(name.Pos(), "%s needs a comment that starts with its name", name))
		}
	}
	for _, decl := range s.file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if receiver := receiverName(decl); receiver == "" {
				want(decl.Name, decl.Doc)
			} else if ast.IsExported(receiver) && !slices.Contains(undocumented, decl.Name.Name) {
				want(decl.Name, decl.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				names, doc := specDoc(decl, spec)
				for _, name := range names {
					want(name, doc)
				}
			}
		}
	}
	return found
}

// specDoc returns the names that a spec declares and the comment that has to
// start with them. A documented block of constants or variables has none to check.
func specDoc(decl *ast.GenDecl, spec ast.Spec) ([]*ast.Ident, *ast.CommentGroup) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if decl.Lparen == token.NoPos {
			return []*ast.Ident{spec.Name}, decl.Doc
		}
		return []*ast.Ident{spec.Name}, spec.Doc
	case *ast.ValueSpec:
		if decl.Lparen == token.NoPos {
			return spec.Names[:1], decl.Doc
		}
		if decl.Doc != nil {
			return nil, nil
		}
		return spec.Names[:1], spec.Doc
	}
	return nil, nil
}

// startsWithName reports whether a comment starts with the name, or with an
// article and the name.
func startsWithName(doc *ast.CommentGroup, name string) bool {
	words := strings.Fields(doc.Text())
	if len(words) > 0 && slices.Contains([]string{"A", "An", "The"}, words[0]) {
		words = words[1:]
	}
	return len(words) > 0 && strings.TrimRight(words[0], ".,:;") == name
}

// receiverName returns the name of a method's type, or "" for a function.
func receiverName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.ParenExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}
