package raftremote

import "testing"

func TestRequestsThatAreNotAnsweredAreForgotten(t *testing.T) {
	o := openForwards{bytesMax: 10_000}
	add := func(bytes int, at int64) uint64 { return o.add(&testForward{data: make([]byte, bytes)}, at) }
	for k := range uint64(10) {
		if got := add(1000, int64(k)); got != k+1 {
			t.Fatalf("got the number %d, want %d", got, k+1)
		}
	}
	if len(o.waiting) != 10 || o.bytes != 10_000 {
		t.Fatalf("%d wait, with %d bytes", len(o.waiting), o.bytes)
	}
	add(1500, 10) // the two that are oldest make room
	if len(o.waiting) != 9 || o.bytes != 9500 || o.take(1) != nil || o.take(2) != nil || o.take(3) == nil || o.take(3) != nil {
		t.Errorf("%d wait, with %d bytes", len(o.waiting), o.bytes)
	}
	o.forgetBefore(6)
	if o.take(6) != nil || o.take(7) == nil {
		t.Error("what is old was not forgotten, or what is not was")
	}
	add(20_000, 20) // more than there is room for goes alone
	if len(o.waiting) != 1 {
		t.Errorf("%d wait, want 1", len(o.waiting))
	}
	o.clear()
	if number := add(1, 21); number != 13 || o.bytes != 1 {
		t.Errorf("got the number %d and %d bytes, want 13 and 1", number, o.bytes)
	}
	for range forwardsMax + 10 {
		add(0, 22)
	}
	if len(o.waiting) != forwardsMax {
		t.Errorf("%d wait, want %d", len(o.waiting), forwardsMax)
	}
}

func TestRequestsThatWaitForAnswersAreBoundedInNumber(t *testing.T) {
	o := openForwards{bytesMax: 1 << 20}
	for range forwardsMax + 10 {
		o.add(&testForward{}, 0)
	}
	if len(o.waiting) != forwardsMax || o.take(10) != nil || o.take(11) == nil {
		t.Errorf("%d wait, want %d, the newest", len(o.waiting), forwardsMax)
	}
}
