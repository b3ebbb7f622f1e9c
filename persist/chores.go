package persist

import "sync"

// chores are done one after the other beside the writer, on a goroutine that is there while there are any:
// preparing and releasing files, which may take long.
type chores struct {
	// inline: they are done by who asks. Never changed.
	inline bool

	mu sync.Mutex
	// Guarded by mu.
	queue   []func()
	running bool
	ended   bool
	work    sync.WaitGroup
}

// do has f done, but not after end.
func (c *chores) do(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
		return
	case c.inline:
		f()
		return
	}
	c.queue = append(c.queue, f)
	if !c.running {
		c.running = true
		c.work.Go(c.run)
	}
}

func (c *chores) run() {
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.running = false
			c.mu.Unlock()
			return
		}
		f := c.queue[0]
		c.queue = c.queue[1:]
		c.mu.Unlock()
		f()
	}
}

// wait waits until all are done.
func (c *chores) wait() { c.work.Wait() }

// end waits until all are done, and takes none any more: the directory may be another store's from then on.
func (c *chores) end() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.wait()
}
