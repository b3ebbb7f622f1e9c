package mailbox

import (
	"testing"

	"pgregory.net/rapid"
)

// A lane is compared with a plain slice, through posts, turns of any limits, and fences.
func TestLaneQueueIsABoundedQueue(t *testing.T) {
	type element struct{ n, bytes int }
	rapid.Check(t, func(t *rapid.T) {
		q := laneQueue{
			messagesMax: rapid.IntRange(1, 20).Draw(t, "messagesMax"),
			bytesMax:    rapid.IntRange(1, 100).Draw(t, "bytesMax"),
		}
		var model []element
		sum := func(of []element) (bytes int) {
			for _, e := range of {
				bytes += e.bytes
			}
			return bytes
		}
		posted := 0
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				bytes := rapid.IntRange(0, 120).Draw(t, "bytes")
				fits := len(model) == 0 ||
					len(model) < q.messagesMax && sum(model)+bytes <= q.bytesMax
				if got := q.push(posted, bytes); got != fits {
					t.Fatalf("push of %d bytes: got %v, want %v", bytes, got, fits)
				}
				if fits {
					model = append(model, element{posted, bytes})
					posted++
				}
			},
			"take": func(t *rapid.T) {
				messagesMax := rapid.IntRange(1, 10).Draw(t, "messagesMax")
				bytesMax := rapid.IntRange(1, 100).Draw(t, "bytesMax")
				fence := rapid.IntRange(0, len(model)).Draw(t, "fence")
				got := q.take(messagesMax, bytesMax, q.taken+uint64(fence))
				switch {
				case len(got) > messagesMax || len(got) > fence:
					t.Fatalf("took %d, limit %d, fence %d", len(got), messagesMax, fence)
				case len(got) == 0 && fence > 0:
					t.Fatal("took nothing")
				case len(got) > 1 && sum(model[:len(got)]) > bytesMax:
					t.Fatalf("took %d bytes, limit %d", sum(model[:len(got)]), bytesMax)
				}
				for i, m := range got {
					if m != model[i].n {
						t.Fatalf("element %d: got %v, want %v", i, m, model[i].n)
					}
				}
				model = model[len(got):]
				q.release()
				for i, m := range q.out.messages[:q.delivered] {
					if m != nil {
						t.Fatalf("element %d is still held after release", i)
					}
				}
			},
			"": func(t *rapid.T) {
				if q.waiting() != len(model) || q.bytes != sum(model) {
					t.Fatalf("%d messages of %d bytes, want %d of %d",
						q.waiting(), q.bytes, len(model), sum(model))
				}
			},
		})
	})
}

func TestLaneQueueLetsGoOfWhatABurstHasTaken(t *testing.T) {
	q := laneQueue{messagesMax: Unlimited, bytesMax: Unlimited}
	turn := func(messages int) {
		for range messages {
			q.push("m", 1)
		}
		q.take(Unlimited, Unlimited, unfenced[0])
		q.release()
	}
	turn(100_000)
	for range 4 * spaciousMax {
		turn(10)
	}
	if held := cap(q.in.messages) + cap(q.out.messages); held > 2*smallCap {
		t.Errorf("room for %d messages is held after the burst", held)
	}
}

func TestFifoKeepsOrderAndReleases(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q fifo[*int]
		pushed, popped := 0, 0
		for _, push := range rapid.SliceOfN(rapid.IntRange(0, 2), 0, 3000).Draw(t, "pushes") {
			if push > 0 {
				n := pushed
				q.push(&n)
				pushed++
			} else if q.len() > 0 {
				if got := *q.pop(); got != popped {
					t.Fatalf("got %d, want %d", got, popped)
				}
				popped++
			}
			if q.len() != pushed-popped {
				t.Fatalf("length %d, want %d", q.len(), pushed-popped)
			}
		}
		for _, element := range q.elements[:q.head] {
			if element != nil {
				t.Fatal("a popped element is still held")
			}
		}
		if waste := len(q.elements) - q.len(); waste > smallCap+q.len() {
			t.Fatalf("%d elements wasted for %d", waste, q.len())
		}
	})
}
