package node

import (
	"testing"

	"pgregory.net/rapid"
)

func TestRingIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ring[int]
		var model []int
		next := 0
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 10).Draw(t, "count") {
					next++
					r.push(next)
					model = append(model, next)
				}
			},
			"pop": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("empty")
				}
				if got := r.pop(); got != model[0] {
					t.Fatalf("popped %d, want %d", got, model[0])
				}
				model = model[1:]
			},
			"change": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("empty")
				}
				i := rapid.IntRange(0, len(model)-1).Draw(t, "at")
				*r.at(i) += 1000
				model[i] += 1000
			},
			"clear": func(*rapid.T) {
				r.clear()
				model = nil
			},
			"": func(t *rapid.T) {
				if r.count != len(model) {
					t.Fatalf("%d items, want %d", r.count, len(model))
				}
				for i := range model {
					if *r.at(i) != model[i] {
						t.Fatalf("item %d is %d, want %d", i, *r.at(i), model[i])
					}
				}
				if len(model) > 0 && *r.front() != model[0] {
					t.Fatalf("front is %d, want %d", *r.front(), model[0])
				}
			},
		})
	})
}

func TestRingKeepsNothingAlive(t *testing.T) {
	var r ring[*int]
	for range 20 {
		r.push(new(int))
	}
	for range 10 {
		r.pop()
	}
	held := 0
	for _, p := range r.items {
		if p != nil {
			held++
		}
	}
	equal(t, "items held", held, 10)
	r.clear()
	for _, p := range r.items {
		if p != nil {
			t.Fatal("an item is held after clear")
		}
	}
}

func TestRingAllocatesOnlyToGrow(t *testing.T) {
	var r ring[int]
	for range 100 {
		r.push(1)
	}
	allocations := testing.AllocsPerRun(1000, func() {
		r.push(r.pop())
	})
	equal(t, "allocations", allocations, 0)
}
