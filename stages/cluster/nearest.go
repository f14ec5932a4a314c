package cluster

import "github.com/viterin/vek/vek32"

// tile is how many pairs are compared with a centroid while it is in the
// processor's first cache.
const tile = 16

// match is the nearest centroid of one pair.
type match struct {
	at       int     // index into the centroids
	distance float32 // squared
}

// nearest finds, for each x, the centroid that maximises x·c − ½‖c‖², and so
// minimises ‖x−c‖². half holds ½‖c‖², norms ‖x‖². The lowest index wins a tie,
// so equal input gives equal output. out has the length of xs; cs is not
// empty.
func nearest(xs, cs [][]float32, norms, half []float32, out []match) {
	var best [tile]float32
	for from := 0; from < len(xs); from += tile {
		part := xs[from:min(from+tile, len(xs))]
		for j, c := range cs {
			for i, x := range part {
				if s := vek32.Dot(x, c) - half[j]; j == 0 || s > best[i] {
					best[i] = s
					out[from+i].at = j
				}
			}
		}
		for i := range part {
			out[from+i].distance = max(0, norms[from+i]-2*best[i])
		}
	}
}

func normSquared(x []float32) float32 { return vek32.Dot(x, x) }
