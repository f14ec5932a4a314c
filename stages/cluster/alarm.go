package cluster

import "encoding/binary"

// window watches the share of novel pairs of one partition. It travels in the
// record of each fold, so that it outlives its worker.
type window struct {
	pairs, novel uint32
	// streak counts the windows in a row whose share was too high.
	streak uint32
}

// windowPairs is how many pairs a window has at least, so that one odd pair
// in a small batch is no alarm. A larger batch is a window by itself.
const windowPairs = 20

// add counts a batch. It reports an alarm, with the share of novel pairs,
// when the second window in a row is above the limit; not again before a
// window has been below it.
func (w window) add(pairs, novel int, limit float64) (next window, share float64, alarm bool) {
	w.pairs += uint32(pairs) //nolint:gosec // a batch's rows
	w.novel += uint32(novel) //nolint:gosec // at most pairs
	if w.pairs < windowPairs {
		return w, 0, false
	}
	share = float64(w.novel) / float64(w.pairs)
	if share <= limit {
		return window{}, share, false
	}
	streak := min(w.streak+1, 3)
	return window{streak: streak}, share, streak == 2
}

func (w window) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, w.pairs)
	b = binary.LittleEndian.AppendUint32(b, w.novel)
	return binary.LittleEndian.AppendUint32(b, w.streak)
}

func decodeWindow(d *decoder) window {
	return window{pairs: d.uint32(), novel: d.uint32(), streak: d.uint32()}
}
