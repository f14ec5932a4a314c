package model

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"

	"github.com/itrstream/itrstream/model/runtime"
)

// digest is the SHA-256 of a text's token ids, which are all that the text
// tower sees of it.
type digest = [sha256.Size]byte

// tokens are the ids of one text.
type tokens struct {
	digest      digest
	first, last int // in scratch.ids
}

func (t tokens) count() int { return t.last - t.first }

// Read has the text tower read texts ahead of the Encode that asks for them,
// which then finds them remembered. Without room to remember any (Options.CacheBytes), it does
// nothing.
func (m *Model) Read(ctx context.Context, texts []string) error {
	if m.remembered == nil {
		return nil
	}
	s := m.takeScratch()
	defer m.giveScratch(s)
	m.tokenize(texts, s)
	m.metrics.texts(len(texts), len(s.unread))
	return m.readUnread(ctx, m.slots.ticket(), s)
}

// readTexts fills s.vectors.
func (m *Model) readTexts(ctx context.Context, ticket uint64, texts []string, s *scratch) error {
	m.tokenize(texts, s)
	m.metrics.texts(len(s.unread), len(s.unread)) // Read has counted those that it found
	return m.readUnread(ctx, ticket, s)
}

// readUnread fills s.vectors. The text tower runs once for texts that it cannot
// tell apart, and not at all for those that are remembered.
func (m *Model) readUnread(ctx context.Context, ticket uint64, s *scratch) error {
	width := m.manifest.Text.Width
	s.text = sized(s.text, len(s.unread)*width)
	if err := m.runTextTower(ctx, ticket, s); err != nil {
		return err
	}
	for row, t := range s.unread {
		m.remembered.put(t.digest, nth(s.text, row, width))
	}
	for i, d := range s.digests {
		if s.vectors[i] == nil {
			s.vectors[i] = nth(s.text, s.rows[d], width)
		}
	}
	return nil
}

// tokenize finds the texts that are remembered, and the ids of the others.
func (m *Model) tokenize(texts []string, s *scratch) {
	s.ids, s.unread, s.digests, s.vectors = s.ids[:0], s.unread[:0], s.digests[:0], s.vectors[:0]
	clear(s.rows)
	for _, text := range texts {
		first := len(s.ids)
		s.ids = m.tokenizer.Encode(s.ids, text)
		s.key = s.key[:0]
		for _, id := range s.ids[first:] {
			s.key = binary.LittleEndian.AppendUint64(s.key, uint64(id)) //nolint:gosec // any mapping that keeps ids apart
		}
		d := sha256.Sum256(s.key)
		_, again := s.rows[d]
		var known []float32
		if !again {
			known = m.remembered.get(d)
		}
		s.digests, s.vectors = append(s.digests, d), append(s.vectors, known)
		if again || known != nil {
			s.ids = s.ids[:first]
			continue
		}
		s.rows[d] = 0 // its place comes with the order
		s.unread = append(s.unread, tokens{digest: d, first: first, last: len(s.ids)})
	}
	slices.SortStableFunc(s.unread, func(a, b tokens) int { return cmp.Compare(b.count(), a.count()) })
	for row, t := range s.unread {
		s.rows[t.digest] = row
	}
}

// runTextTower fills s.text, from the longest text to the shortest, so that
// cores finish together.
func (m *Model) runTextTower(ctx context.Context, ticket uint64, s *scratch) error {
	m.cutTexts(s)
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(m.workers, len(s.runs)) {
		group.Go(func() error {
			for run := int(next.Add(1)) - 1; run < len(s.runs); run = int(next.Add(1)) - 1 {
				if err := m.slots.take(ctx, ticket); err != nil {
					return err
				}
				err := m.runTexts(ctx, s.runs[run], s)
				m.slots.give()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// span is the rows [first, last).
type span struct{ first, last int }

// cutTexts cuts s.unread into runs, so that these and the padding in them take
// the least time together. A run's texts are padded to its first.
func (m *Model) cutTexts(s *scratch) {
	n := len(s.unread)
	s.runs = slices.Grow(s.runs[:0], n)[:n]
	s.costs = append(s.costs[:0], 0) // of the first i texts, in tokens; s.runs[i-1] is the last run of them
	for last := 1; last <= n; last++ {
		least := math.MaxInt
		for first := max(0, last-m.textChunk); first < last; first++ {
			if cost := s.costs[first] + m.textRun + (last-first)*s.unread[first].count(); cost < least {
				least, s.runs[last-1] = cost, span{first, last}
			}
		}
		s.costs = append(s.costs, least)
	}
	at := n
	for last := n; last > 0; last = s.runs[at].first {
		at--
		s.runs[at] = s.runs[last-1]
	}
	s.runs = slices.Delete(s.runs, 0, at)
}

// runTexts runs the text tower on one run of s.unread.
func (m *Model) runTexts(ctx context.Context, run span, s *scratch) error {
	chunk := s.unread[run.first:run.last]
	length := chunk[0].count()
	ids, mask := s.ids[chunk[0].first:chunk[0].last], m.ones[:length]
	if len(chunk) > 1 {
		// Padding is masked, so its id is of no account.
		ids, mask = make([]int64, len(chunk)*length), make([]int64, len(chunk)*length)
		for i, t := range chunk {
			n := copy(ids[i*length:], s.ids[t.first:t.last])
			copy(mask[i*length:], m.ones[:n])
		}
	}
	width := m.manifest.Text.Width
	out := s.text[run.first*width : run.last*width]
	shape := []int64{int64(len(chunk)), int64(length)}
	if err := m.text.Run(ctx,
		[]runtime.Tensor{runtime.NewTensor(ids, shape...), runtime.NewTensor(mask, shape...)},
		[]runtime.Tensor{runtime.NewTensor(out, int64(len(chunk)), int64(width))},
	); err != nil {
		return err
	}
	return checkFinite(m.manifest.Text.Graph, "text", out)
}

// remembered are texts that the text tower has read, the latest ones. A nil one
// is empty and stays so.
type remembered struct {
	vectors *lru.Cache[digest, []float32]
}

// rememberedBytes is about what a text takes beside its vector.
const rememberedBytes = 256

// newRemembered makes room for vectors of a width in so many bytes.
func newRemembered(bytes int64, width int) (*remembered, error) {
	n := bytes / int64(4*width+rememberedBytes)
	if n <= 0 {
		return nil, nil //nolint:nilnil // a nil one works
	}
	vectors, err := lru.New[digest, []float32](int(n))
	if err != nil {
		return nil, fmt.Errorf("model: remembered texts: %w", err)
	}
	return &remembered{vectors: vectors}, nil
}

// get returns the vector of a text, which must not be changed; nil: it is not
// known.
func (r *remembered) get(d digest) []float32 {
	if r == nil {
		return nil
	}
	v, _ := r.vectors.Get(d)
	return v
}

// put keeps a copy of the vector.
func (r *remembered) put(d digest, vector []float32) {
	if r != nil {
		r.vectors.Add(d, slices.Clone(vector))
	}
}
