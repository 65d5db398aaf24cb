package watch

// Read returns records of a group in order: those after that id of a path, which is a node and all below it, at most
// most of them unless it is 0 or less. The empty path is the whole group. A flush is a record of every path.
//
// next is the id to go on from: that of the last record returned or looked at. Errors: ErrCompacted, when records
// after that id may be missing. A group of which nothing was heard has no records, and none missing.
func (h *Hub) Read(group int, path string, after ID, most int) (records []Record, next ID, err error) {
	g := h.known(group)
	if g == nil {
		return nil, after, nil
	}
	return g.ring.read(path, after, most)
}

// ReadBack returns records before that id, newest first. Those that are gone are not missed: there is nothing to go on
// from.
func (h *Hub) ReadBack(group int, path string, before ID, most int) []Record {
	g := h.known(group)
	if g == nil {
		return nil
	}
	return g.ring.readBack(path, before, most)
}

// Oldest returns the least id that Read takes as after.
func (h *Hub) Oldest(group int) ID {
	g := h.known(group)
	if g == nil {
		return ID{}
	}
	g.ring.mu.RLock()
	defer g.ring.mu.RUnlock()
	return g.ring.oldest()
}

// First returns the oldest record of the path; ok is false when there is none.
func (h *Hub) First(group int, path string) (first Record, ok bool) {
	for {
		found, _, err := h.Read(group, path, h.Oldest(group), 1)
		if err == nil && len(found) == 0 {
			return Record{}, false
		}
		if err == nil {
			return found[0], true
		}
	}
}

// Last returns the id of the newest event of the group, or Oldest when there is none: what comes is after it.
func (h *Hub) Last(group int) ID {
	g := h.known(group)
	if g == nil {
		return ID{}
	}
	g.ring.mu.RLock()
	defer g.ring.mu.RUnlock()
	return g.ring.last()
}

// Len returns how many records of the path the ring holds. For any but the empty path it looks at all records.
func (h *Hub) Len(group int, path string) int {
	g := h.known(group)
	if g == nil {
		return 0
	}
	return g.ring.count(path)
}

// known returns the group of that number, nil if nothing was heard of it.
func (h *Hub) known(id int) *group {
	g, ok := h.groups.Load(id)
	if !ok {
		return nil
	}
	return g.(*group)
}
