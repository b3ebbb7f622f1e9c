package raftremote

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/raftactor/remote/internal/linkpb"
)

func TestTheCodesAreThoseOfTheSchemaAndOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| (\d) \| ([A-Z]+) \|`)
	var documented []string
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[2]+" "+m[1])
	}
	var got []string
	list := func(e protoreflect.Enum, name func(protoreflect.EnumNumber) string) {
		values := e.Descriptor().Values()
		for i := 1; i < values.Len(); i++ {
			v := values.Get(i)
			got = append(got, string(v.Name())+" "+string('0'+rune(v.Number())))
			if here := name(v.Number()); here != strings.ToLower(string(v.Name())) {
				t.Errorf("code %d is %s in the schema, and %s here", v.Number(), v.Name(), here)
			}
		}
		if here := name(protoreflect.EnumNumber(values.Len())); here != "unknown" {
			t.Errorf("the code %s is not in the schema", here)
		}
	}
	list(linkpb.Refusal_UNKNOWN, func(n protoreflect.EnumNumber) string { return refusalCode(n).String() })
	list(linkpb.GoAway_UNKNOWN, func(n protoreflect.EnumNumber) string { return goAwayCode(n).String() })
	if want := strings.Join(documented, ", "); strings.Join(got, ", ") != want {
		t.Errorf("the schema has %s, the document %s", strings.Join(got, ", "), want)
	}
}
