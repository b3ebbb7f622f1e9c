package node

// ring is a queue that allocates only to grow.
type ring[T any] struct {
	// items has a power of two of places, or none.
	items       []T
	head, count int
}

func (r *ring[T]) push(item T) {
	if r.count == len(r.items) {
		grown := make([]T, max(8, 2*len(r.items)))
		for i := range r.count {
			grown[i] = *r.at(i)
		}
		r.items, r.head = grown, 0
	}
	r.count++
	*r.at(r.count - 1) = item
}

// at returns the i-th item from the front.
func (r *ring[T]) at(i int) *T { return &r.items[(r.head+i)&(len(r.items)-1)] }

func (r *ring[T]) front() *T { return r.at(0) }

func (r *ring[T]) pop() T {
	item := *r.front()
	var zero T
	*r.front() = zero
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.count--
	return item
}

func (r *ring[T]) clear() {
	clear(r.items)
	r.head, r.count = 0, 0
}
