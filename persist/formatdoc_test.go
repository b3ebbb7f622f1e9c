package persist

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
)

// tableRows are the rows of the tables in a section of FORMAT.md: their cells.
func tableRows(t *testing.T, section string) [][]string {
	t.Helper()
	text, err := os.ReadFile("FORMAT.md")
	must(t, err)
	_, rest, ok := strings.Cut(string(text), "\n## "+section+"\n")
	if !ok {
		t.Fatalf("FORMAT.md has no section %s", section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	var rows [][]string
	for line := range strings.Lines(rest) {
		if cells := strings.Split(strings.TrimSpace(line), "|"); len(cells) > 3 {
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells[1:len(cells)-1])
		}
	}
	return rows
}

// expectLayout holds the rows of a table, offset, length and what, against bytes in which the named values stand.
func expectLayout(t *testing.T, rows [][]string, encoded []byte, values map[string]any) {
	t.Helper()
	for what, value := range values {
		found := 0
		for _, row := range rows {
			offset, err1 := strconv.Atoi(row[0])
			length, err2 := strconv.Atoi(row[1])
			if err1 != nil || err2 != nil || !strings.HasPrefix(row[2], what) {
				continue
			}
			found++
			var want []byte
			switch v := value.(type) {
			case uint32:
				want = binary.LittleEndian.AppendUint32(nil, v)
			case uint64:
				want = binary.LittleEndian.AppendUint64(nil, v)
			case []byte:
				want = v
			}
			if got := encoded[offset : offset+length]; !bytes.Equal(got, want) {
				t.Errorf("%q: got %x at %d, want %x", what, got, offset, want)
			}
		}
		if found != 1 {
			t.Errorf("%q stands in %d rows", what, found)
		}
	}
}

func TestFormatDocumentNamesTheLayoutOfTheHeaders(t *testing.T) {
	h := format.SegmentHeader{
		StoreID: 0x0102030405060708, Segment: 0x1112131415161718, Salt: 0x2122232425262728, Predecessor: 0x3132333435363738,
		End: format.Position{Sequence: 0x4142434445464748, Chain: 0x51525354}, BootID: running,
		Bytes: 0x6162636465666768,
	}
	encoded := h.Append(nil)
	expectLayout(t, tableRows(t, "Segment"), encoded, map[string]any{
		"magic": []byte("raftwal\n"), "version": uint32(format.Version), "chain checksum of End": h.End.Chain, "store id": h.StoreID,
		"number of the segment": h.Segment, "salt": h.Salt, "Predecessor": h.Predecessor, "sequence of End": h.End.Sequence,
		"boot id": append([]byte(running), make([]byte, 40-len(running))...), "length of the file": h.Bytes, "zeros": make([]byte, 20),
		"checksum of the 124 bytes": format.Checksum(encoded[:124]),
	})
	if len(encoded) != format.SegmentHeaderBytes || format.SegmentHeaderBytes != 128 {
		t.Errorf("got %d bytes", len(encoded))
	}

	b := format.BatchHeader{
		PayloadBytes: 0x01020304, PayloadChecksum: 0x11121314, Sequence: 0x2122232425262728, Segment: 0x3132333435363738,
		Offset: 0x4142434445464748, Durable: 0x5152535455565758, Previous: 0x61626364, Records: 0x71727374,
	}
	batch := make([]byte, format.BatchHeaderBytes)
	sum := b.Put(batch, h.Salt)
	expectLayout(t, tableRows(t, "Batch"), batch, map[string]any{
		"magic": []byte("RBAT"), "checksum of this header": sum, "length of the records": b.PayloadBytes,
		"checksum of the records": b.PayloadChecksum, "sequence": b.Sequence, "number of the segment": b.Segment,
		"offset of the batch": b.Offset, "Durable": b.Durable, "Previous": b.Previous, "number of records": b.Records,
		"zeros": make([]byte, 8),
	})
	footer := make([]byte, format.BatchFooterBytes)
	b.PutFooter(footer, h.Salt)
	if string(footer[:4]) != "REND" || !bytes.Equal(footer[8:], batch[8:]) || bytes.Equal(footer[4:8], batch[4:8]) {
		t.Errorf("got the footer %x of %x", footer, batch)
	}
	for payload, length := range map[int64]int64{0: 4096, 4096 - 128: 4096, 4096 - 127: 8192} {
		if got := format.BatchBytes(payload); got != length {
			t.Errorf("%d bytes of records: got a batch of %d, want %d", payload, got, length)
		}
	}
	if format.BatchHeaderBytes != 64 || format.BlockBytes != 4096 || sectorBytes != 512 {
		t.Error("lengths have changed")
	}
}

func TestFormatDocumentNamesTheLayoutOfRecords(t *testing.T) {
	rows := tableRows(t, "Record")
	record := format.AppendTruncate(nil, 0x0102030405060708, 9)
	expectLayout(t, rows, record, map[string]any{
		"checksum of all that follows": format.Checksum(record[4:]), "length of the body": uint32(8), "kind": []byte{byte(format.KindTruncate)},
		"zeros": make([]byte, 3), "key": uint64(0x0102030405060708),
	})
	named := map[string]bool{}
	for _, row := range rows {
		if kind, err := strconv.Atoi(row[0]); err == nil && format.Kind(kind).String() == row[1] {
			named[row[1]] = true
		}
	}
	known := 0
	for kind := range 256 {
		name := format.Kind(kind).String()
		if strings.HasPrefix(name, "kind(") {
			continue
		}
		known++
		if !named[name] {
			t.Errorf("kind %d, %s, has no row", kind, name)
		}
	}
	if known != len(named) || known != 11 {
		t.Errorf("got %d kinds, and %d with a row", known, len(named))
	}
	entry := format.AppendEntry(nil, 1, &node.Entry{Index: 2, Term: 3, Kind: node.EntryConfiguration, Data: []byte("x")})
	want := "\x02\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x03x"
	if got := string(entry[format.RecordHeaderBytes:]); got != want {
		t.Errorf("got an entry %q, want %q", got, want)
	}
}

func TestFormatDocumentNamesTheVersionAndTheFiles(t *testing.T) {
	text, err := os.ReadFile("FORMAT.md")
	must(t, err)
	if want := fmt.Sprintf("# The format of a store, version %d\n", format.Version); !strings.HasPrefix(string(text), want) {
		t.Errorf("it does not begin with %q", want)
	}
	for _, name := range []string{lockName, segmentSuffix, spareEnding, spareTmpEnding, snapshotsDir + "/", goldenDir} {
		if !regexp.MustCompile("`[^`]*" + regexp.QuoteMeta(name) + "`").Match(text) {
			t.Errorf("%s is not named", name)
		}
	}
}
