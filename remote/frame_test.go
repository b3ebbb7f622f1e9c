package raftremote

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"example.com/raftactor/node"
	"example.com/raftactor/remote/internal/linkpb"
)

func TestAFrameComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := frames.Draw(t, "frame")
		prefix := []byte("in front")
		data := appendFrame(prefix, want)
		if !bytes.HasPrefix(data, prefix) {
			t.Fatalf("what stood in front has become %q", data[:len(prefix)])
		}
		data = data[len(prefix):]
		got := &frame{unknown: 7, answers: []wireAnswer{{1, nil}}, goAway: &goAway{}} // nothing of which is to stay
		if err := decodeFrame(data, got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", generatedFrame(got), generatedFrame(want))
		}
	})
}

func TestTheGeneratedCodeReadsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := frames.Draw(t, "frame")
		got := new(linkpb.Frame)
		if err := proto.Unmarshal(appendFrame(nil, f), got); err != nil {
			t.Fatal(err)
		}
		if want := generatedFrame(f); !proto.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestWhatTheGeneratedCodeWritesIsReadInAnyOrderOfFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := frames.Draw(t, "frame")
		data, err := proto.Marshal(generatedFrame(want))
		if err != nil {
			t.Fatal(err)
		}
		seed := rapid.Uint64().Draw(t, "seed")
		shuffler := &shuffler{rng: rand.New(rand.NewPCG(seed, seed))}
		shuffled := shuffler.message(data, (*linkpb.Frame)(nil).ProtoReflect().Descriptor())
		got := new(frame)
		if err := decodeFrame(shuffled, got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", generatedFrame(got), generatedFrame(want))
		}
	})
}

// A shuffler puts the fields of messages into another order, and adds fields that nobody knows.
type shuffler struct{ rng *rand.Rand }

func (s *shuffler) message(data []byte, message protoreflect.MessageDescriptor) []byte {
	var fields [][]byte // those of one number together, since their order matters
	at := map[protowire.Number]int{}
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		length := n + protowire.ConsumeFieldValue(number, kind, data[n:])
		field := slices.Clone(data[:length])
		if d := message.Fields().ByNumber(number); d.Message() != nil {
			inner, _ := protowire.ConsumeBytes(data[n:])
			field = protowire.AppendBytes(slices.Clone(data[:n]), s.message(inner, d.Message()))
		}
		if i, ok := at[number]; ok {
			fields[i] = append(fields[i], field...)
		} else {
			at[number] = len(fields)
			fields = append(fields, field)
		}
		data = data[length:]
	}
	fields = append(fields, [][]byte{
		protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 1<<63),
		protowire.AppendString(protowire.AppendTag(nil, 1001, protowire.BytesType), "of the future"),
		protowire.AppendFixed32(protowire.AppendTag(nil, 1002, protowire.Fixed32Type), 1),
		protowire.AppendFixed64(protowire.AppendTag(nil, 1<<29-1, protowire.Fixed64Type), 1),
		nil,
	}[s.rng.IntN(5)])
	s.rng.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	return slices.Concat(fields...)
}

func TestEveryKindOfMessageIsInTheTests(t *testing.T) {
	seen := map[protoreflect.Name]bool{}
	rapid.Check(t, func(t *rapid.T) {
		for _, kind := range kinds {
			m := generatedMessage(kind(t, drawHeader(t, 1, 2))).ProtoReflect()
			if d := m.WhichOneof(m.Descriptor().Oneofs().ByName("kind")); d != nil {
				seen[d.Name()] = true
			}
		}
	})
	all := (*linkpb.Message)(nil).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()
	for i := range all.Len() {
		if !seen[all.Get(i).Name()] {
			t.Errorf("%s is not covered", all.Get(i).Name())
		}
	}
}

func TestTheHandleOfASnapshotStaysWhereItIs(t *testing.T) {
	meta := node.SnapshotMeta{Index: 1, Term: 1, ConfigurationIndex: 1, Configuration: node.Voters(1), Handle: "a file"}
	envelope := &node.PeerEnvelope{
		Group: "g", From: 1, To: 2,
		Messages: []node.Message{&node.InstallSnapshot{Meta: meta}},
		Chunk:    &node.SnapshotChunk{Offer: &node.InstallSnapshot{Meta: meta}},
	}
	data := appendFrame(nil, &frame{envelopes: []wireEnvelope{{envelope: envelope}}})
	if bytes.Contains(data, []byte("a file")) {
		t.Fatal("the handle travels")
	}
	var got frame
	if err := decodeFrame(data, &got); err != nil {
		t.Fatal(err)
	}
	e := got.envelopes[0].envelope
	if h := e.Chunk.Offer.Meta.Handle; h != nil {
		t.Errorf("the offer of the chunk has the handle %v", h)
	}
	if h := e.Messages[0].(*node.InstallSnapshot).Meta.Handle; h != nil {
		t.Errorf("the message has the handle %v", h)
	}
}

func TestAnEntryOfTermZeroTravelsToo(t *testing.T) {
	want := &node.AppendEntries{
		Header: node.Header{From: 1, To: 2}, PrevIndex: 4, PrevTerm: 3,
		Entries: []node.Entry{{Index: 5, Term: 0, Kind: node.EntryEmpty}},
	}
	envelope := &node.PeerEnvelope{Group: "g", From: 1, To: 2, Messages: []node.Message{want}}
	var got frame
	if err := decodeFrame(appendFrame(nil, &frame{envelopes: []wireEnvelope{{envelope: envelope}}}), &got); err != nil {
		t.Fatal(err)
	}
	if m := got.envelopes[0].envelope.Messages[0]; !reflect.DeepEqual(m, want) {
		t.Errorf("got %+v, want %+v", m, want)
	}
}

func TestLongAndBrokenReasonsAreCutToWhatTheOtherTakes(t *testing.T) {
	for name, reason := range map[string]string{
		"long":            strings.Repeat("r", 3*reasonBytesMax),
		"cut in a letter": strings.Repeat("€", reasonBytesMax),
		"not text":        strings.Repeat("x\xff", 3*reasonBytesMax),
	} {
		t.Run(name, func(t *testing.T) {
			f := &frame{refused: &refusal{refusedStore, reason}, goAway: &goAway{goAwayStopping, reason}}
			data := appendFrame(nil, f)
			var got frame
			if err := decodeFrame(data, &got); err != nil {
				t.Fatal(err)
			}
			for _, r := range []string{got.refused.reason, got.goAway.reason} {
				if len(r) < reasonBytesMax-utf8.UTFMax || len(r) > reasonBytesMax {
					t.Errorf("%d bytes are left of the reason, of at most %d", len(r), reasonBytesMax)
				}
			}
		})
	}
}

func TestMessagesOfUnknownKindsAreLeftOutAndCounted(t *testing.T) {
	known := &node.Heartbeat{Header: node.Header{Term: 3}, Round: 1}
	b, start := begin(nil, frameEnvelopes)
	b = appendString(b, envelopeGroup, "g")
	b = appendMessage(b, envelopeMessages, known)
	b, unknown := begin(b, envelopeMessages)
	b = appendUint(b, messageTerm, 3)
	b = appendUints(b, kindIncarnationRefusal+1, 1, 2)
	b = end(b, unknown)
	b, none := begin(b, envelopeMessages)
	b = end(b, none)
	b = appendMessage(b, envelopeMessages, known)
	b = appendUint(b, envelopeFrom, 1)
	b = appendUint(b, envelopeTo, 2)
	var f frame
	if err := decodeFrame(end(b, start), &f); err != nil {
		t.Fatal(err)
	}
	if got := len(f.envelopes[0].envelope.Messages); got != 2 || f.unknown != 2 {
		t.Errorf("got %d messages and %d unknown ones, want 2 and 2", got, f.unknown)
	}
	if h := f.envelopes[0].envelope.Messages[1].Head(); h.From != 1 || h.To != 2 || h.Term != 3 {
		t.Errorf("the second message has the header %+v", h)
	}
}

func TestAFrameThatIsCutOffIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawEnvelope(t)
		data := appendFrame(nil, &frame{envelopes: []wireEnvelope{w}})
		for n := 1; n < len(data); n++ { // nothing at all is an empty frame
			var f frame
			if err := decodeFrame(data[:n], &f); !errors.Is(err, errMalformed) {
				t.Fatalf("%d bytes of %d: got error %v, want one that matches errMalformed", n, len(data), err)
			}
		}
	})
}
