package dataset

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet/compress"
)

// Draft is a shard that is being written, in a file of this machine that has
// no name: it goes with the process. It is for one goroutine.
type Draft struct {
	file   *os.File
	buf    *bufio.Writer
	sum    hash.Hash
	writer *Writer
	day    time.Time
	stats  Stats
	token  string
	rows   int
	length int64
	ended  bool
}

// NewDraft begins a shard, in the system's folder for temporary files.
func NewDraft(alloc memory.Allocator) (*Draft, error) {
	return newDraft(alloc, compress.Codecs.Zstd)
}

func newDraft(alloc memory.Allocator, codec compress.Compression) (*Draft, error) {
	file, err := os.CreateTemp("", "itrstream-shard-")
	if err != nil {
		return nil, fmt.Errorf("dataset: a place to write a shard in: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("dataset: a place to write a shard in: %w", err), file.Close())
	}
	d := &Draft{file: file, sum: sha256.New(), token: newToken()}
	d.buf = bufio.NewWriterSize(io.MultiWriter(file, d.sum), 256<<10)
	if d.writer, err = newWriter(d.buf, alloc, codec); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return d, nil
}

// Add appends a row.
func (d *Draft) Add(r *Row) error {
	if d.rows == 0 {
		d.day = Day(r)
	}
	d.rows++
	d.stats.Add(r)
	return d.writer.Add(r)
}

// Day is the day under which a row is filed, in UTC.
func Day(r *Row) time.Time { return r.Collected.CollectedAt.UTC().Truncate(24 * time.Hour) }

// Rows returns how many rows were added.
func (d *Draft) Rows() int { return d.rows }

// Bytes returns about how long the shard is.
func (d *Draft) Bytes() int64 { return d.writer.Bytes() }

// Day returns that of the first row.
func (d *Draft) Day() time.Time { return d.day }

// end writes the footer, once.
func (d *Draft) end() error {
	if d.ended {
		return nil
	}
	d.ended = true
	if err := errors.Join(d.writer.Close(), d.buf.Flush()); err != nil {
		return err
	}
	d.length = d.writer.out.n
	return nil
}

// content reads the shard from its beginning.
func (d *Draft) content() io.Reader { return io.NewSectionReader(d.file, 0, d.length) }

// describe fills in what an entry says about its shard.
func (d *Draft) describe(e *Entry) {
	e.SHA256 = hex.EncodeToString(d.sum.Sum(nil))
	e.Bytes, e.Rows, e.Stats = d.length, int64(d.rows), d.stats
	e.Shard = e.shardPath(d.day)
}

// Discard forgets the shard, written or not.
func (d *Draft) Discard() error {
	var err error
	if !d.ended {
		d.ended = true
		err = d.writer.abandon()
	}
	return errors.Join(err, d.file.Close())
}
