package tokenize

import "sync"

// pairMerge is what two neighbouring symbols become, and when: the lowest rank first.
type pairMerge struct{ rank, symbol int32 }

// mergeTable is a trained byte-pair encoding, by pair.
type mergeTable map[uint64]pairMerge

// noSymbol stands for a character that no merge knows.
const noSymbol int32 = -1

func pairKey(left, right int32) uint64 {
	return uint64(uint32(left))<<32 | uint64(uint32(right)) //nolint:gosec // any distinct bits will do
}

// symbol is one piece of the word at hand, a link of a list.
type symbol struct {
	id         int32
	prev, next int32 // -1 at the ends
	gone       bool
}

// candidate is a merge that was possible when it was noted.
type candidate struct{ rank, at int32 }

// merger cuts one word. Its slices are kept for the next word.
type merger struct {
	symbols []symbol
	queue   []candidate // a heap
	fresh   []candidate
	scratch []byte // the text
	folded  []byte // what it becomes before it is cut
	runes   []rune
}

var mergers = sync.Pool{New: func() any { return new(merger) }}

func (m *merger) reset() {
	m.symbols, m.queue, m.fresh = m.symbols[:0], m.queue[:0], m.fresh[:0]
}

// add appends a symbol to the word.
func (m *merger) add(id int32) {
	n := int32(len(m.symbols)) //nolint:gosec // a text is shorter than 2 GiB
	if n > 0 {
		m.symbols[n-1].next = n
	}
	m.symbols = append(m.symbols, symbol{id: id, prev: n - 1, next: -1})
}

// merge joins neighbours until no merge is left; the symbols that remain are those not gone, the first of them at 0.
//
// The merge of lowest rank goes first, the leftmost of equals before the others. With rounds, all places of one merge are
// joined before any merge that they make possible, as the Python tokenizers do; without, a merge that has become possible
// goes before those of higher rank at once, as the Rust tokenizers do. The two differ only where one symbol can be made in
// two ways.
func (m *merger) merge(table mergeTable, rounds bool) {
	for i := 0; i+1 < len(m.symbols); i++ {
		m.note(table, int32(i), rounds)
	}
	m.settle()
	for len(m.queue) > 0 {
		c := m.pop()
		if found, ok := m.possible(table, c.at); ok && found.rank == c.rank {
			m.join(table, c.at, found.symbol, rounds)
		}
		if len(m.fresh) > 0 && (len(m.queue) == 0 || m.queue[0].rank != c.rank) {
			m.settle()
		}
	}
}

// possible looks up the merge of the symbol at i with the one behind it.
func (m *merger) possible(table mergeTable, i int32) (pairMerge, bool) {
	left := m.symbols[i]
	if left.gone || left.next < 0 || left.id == noSymbol || m.symbols[left.next].id == noSymbol {
		return pairMerge{}, false
	}
	found, ok := table[pairKey(left.id, m.symbols[left.next].id)]
	return found, ok
}

// note queues the merge of the symbol at i with the one behind it, if there is one; with rounds, from the next round on.
func (m *merger) note(table mergeTable, i int32, rounds bool) {
	found, ok := m.possible(table, i)
	switch {
	case !ok:
	case rounds:
		m.fresh = append(m.fresh, candidate{found.rank, i})
	default:
		m.push(candidate{found.rank, i})
	}
}

func (m *merger) settle() {
	for _, c := range m.fresh {
		m.push(c)
	}
	m.fresh = m.fresh[:0]
}

func (m *merger) join(table mergeTable, i, id int32, rounds bool) {
	left := &m.symbols[i]
	right := &m.symbols[left.next]
	left.id, left.next, right.gone = id, right.next, true
	if left.next >= 0 {
		m.symbols[left.next].prev = i
		m.note(table, i, rounds)
	}
	if left.prev >= 0 {
		m.note(table, left.prev, rounds)
	}
}

func (c candidate) before(other candidate) bool {
	return c.rank < other.rank || c.rank == other.rank && c.at < other.at
}

func (m *merger) push(c candidate) {
	m.queue = append(m.queue, c)
	i := len(m.queue) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !c.before(m.queue[parent]) {
			break
		}
		m.queue[i] = m.queue[parent]
		i = parent
	}
	m.queue[i] = c
}

func (m *merger) pop() candidate {
	top, last := m.queue[0], m.queue[len(m.queue)-1]
	m.queue = m.queue[:len(m.queue)-1]
	n := len(m.queue)
	if n == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= n {
			break
		}
		if child+1 < n && m.queue[child+1].before(m.queue[child]) {
			child++
		}
		if !m.queue[child].before(last) {
			break
		}
		m.queue[i] = m.queue[child]
		i = child
	}
	m.queue[i] = last
	return top
}
