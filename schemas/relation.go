package schemas

import "slices"

// Relation says how image and text of a pair relate. Its id is
// 2·text_is_represented + image_adds (ITR paper, label scheme of Vempala and
// Preoţiuc-Pietro).
type Relation uint8

// The four relations in the order of the model's scores.
const (
	Neither         Relation = iota // text not represented, image does not add
	ImageAdds                       // text not represented, image adds
	TextRepresented                 // text represented, image does not add
	Both                            // text represented, image adds
)

// Relations is the number of relations, and so of scores a pair has.
const Relations = 4

var relationNames = [Relations]string{"neither", "image_adds", "text_represented", "both"}

// String returns the relation's name on the wire.
func (r Relation) String() string {
	if int(r) < len(relationNames) {
		return relationNames[r]
	}
	return "unknown"
}

// RelationOf returns the relation of that name.
func RelationOf(name string) (Relation, bool) {
	i := slices.Index(relationNames[:], name)
	return Relation(max(i, 0)), i >= 0 //nolint:gosec // below Relations
}

// TextIsRepresented reports the first sub-task's label.
func (r Relation) TextIsRepresented() bool { return r&2 != 0 }

// ImageAdds reports the second sub-task's label.
func (r Relation) ImageAdds() bool { return r&1 != 0 }

// RelationNames lists the names in the order of the scores.
func RelationNames() []string { return append([]string(nil), relationNames[:]...) }
