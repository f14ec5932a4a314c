package cluster

// Folded is what a record says of one pair.
type Folded struct {
	Offset  int64
	Image   int32
	Cluster string
}

// FoldedOf decodes a record for tests of the protocol.
func FoldedOf(r Recorded) (pairs []Folded, events int, err error) {
	rec, err := decodeRecord(r)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range rec.entries {
		pairs = append(pairs, Folded{Offset: e.key.offset, Image: e.key.image, Cluster: e.cluster})
	}
	return pairs, len(rec.events), nil
}
