package dataset

import (
	"io"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
)

// BenchmarkWriter writes rows with images of 50 KB.
func BenchmarkWriter(b *testing.B) {
	row := full(1)
	row.Image = make([]byte, 50_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(row.Image)
	w, err := NewWriter(io.Discard, memory.DefaultAllocator)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(row.Image)))
	for b.Loop() {
		if err := w.Add(&row); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}
