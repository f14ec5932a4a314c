package dataset

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/parquet"

	"github.com/itrstream/itrstream/schemas"
)

// Names of the columns, for projections.
const (
	ColImage             = "image"
	ColText              = "text"
	ColOCR               = "ocr"
	ColCaption           = "caption"
	ColAlt               = "alt"
	ColRelation          = "relation"
	ColScores            = "scores"
	ColTextIsRepresented = "text_is_represented"
	ColImageAdds         = "image_adds"
	ColSimilarity        = "similarity"
	ColCluster           = "cluster"
	ColNovel             = "novel"
	ColPostID            = "post_id"
	ColPair              = "pair"
	ColSource            = "source"
	ColAuthor            = "author"
	ColCreatedAt         = "created_at"
	ColLangs             = "langs"
	ColSensitive         = "sensitive"
	ColURI               = "uri"
	ColLicense           = "license"
	ColOptOuts           = "opt_outs"
	ColResultID          = "result_id"
	ColInputTopic        = "input_topic"
	ColInputPartition    = "input_partition"
	ColInputOffset       = "input_offset"
	ColModelName         = "model_name"
	ColModelVersion      = "model_version"
	ColModelDigest       = "model_digest"
	ColConfigDigest      = "config_digest"
	ColSelectedReason    = "selected_reason"
	ColProbability       = "inclusion_probability"
	ColImageDigest       = "image_digest"
	ColImageHash         = "image_hash"
	ColTextHash          = "text_hash"
	ColCollectedAt       = "collected_at"
)

// column is one column: its Arrow type, its Hugging Face feature, Parquet's
// types below it, and both ways between a Row and it. get is called for each
// part that has values, which are those of leaves, byte arrays being strings.
type column struct {
	name    string
	kind    arrow.DataType
	feature any
	leaves  []parquet.Type
	put     func(b array.Builder, r *Row)
	get     func(r *Row, part int, v []any)
}

var (
	bytesLeaf  = []parquet.Type{parquet.Types.ByteArray}
	int64Leaf  = []parquet.Type{parquet.Types.Int64}
	int32Leaf  = []parquet.Type{parquet.Types.Int32}
	floatLeaf  = []parquet.Type{parquet.Types.Float}
	doubleLeaf = []parquet.Type{parquet.Types.Double}
	boolLeaf   = []parquet.Type{parquet.Types.Boolean}
)

func columnNamed(name string) (column, bool) {
	at := slices.IndexFunc(columns, func(c column) bool { return c.name == name })
	if at < 0 {
		return column{}, false
	}
	return columns[at], true
}

var (
	// In this order and with these names, or datasets sees no image.
	imageType = arrow.StructOf(
		arrow.Field{Name: "bytes", Type: arrow.BinaryTypes.Binary, Nullable: true},
		arrow.Field{Name: "path", Type: arrow.BinaryTypes.String, Nullable: true},
	)
	instant = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	lines   = arrow.ListOf(arrow.BinaryTypes.String)
	floats  = arrow.ListOf(arrow.PrimitiveTypes.Float32)
)

type feature map[string]any

func value(dtype string) feature { return feature{"_type": "Value", "dtype": dtype} }

func list(dtype string) feature { return feature{"_type": "List", "feature": value(dtype)} }

// columns are all columns, in the order of the shards.
var columns = []column{
	{
		ColImage, imageType,
		feature{"_type": "Image"},
		[]parquet.Type{parquet.Types.ByteArray, parquet.Types.ByteArray},
		func(b array.Builder, r *Row) {
			s := b.(*array.StructBuilder)
			if r.Image == nil {
				s.AppendNull()
				return
			}
			s.Append(true)
			s.FieldBuilder(0).(*array.BinaryBuilder).Append(r.Image)
			putString(s.FieldBuilder(1), imageName(r.Collected.Image))
		},
		func(r *Row, part int, v []any) {
			if part == 0 {
				r.Image = []byte(v[0].(string))
				r.Collected.Image.Bytes = int64(len(r.Image))
			} else {
				r.Collected.Image.MIME = mimeOf(v[0].(string))
			}
		},
	},
	text(ColText, func(r *Row) *string { return &r.Collected.Text }),
	text(ColOCR, func(r *Row) *string { return &r.OCR }),
	text(ColCaption, func(r *Row) *string { return &r.Caption }),
	text(ColAlt, func(r *Row) *string { return &r.Collected.Alt }),
	{
		ColRelation, arrow.PrimitiveTypes.Int64,
		feature{"_type": "ClassLabel", "names": schemas.RelationNames()},
		int64Leaf,
		func(b array.Builder, r *Row) {
			if id := slices.Index(schemas.RelationNames(), r.Collected.Relation); id >= 0 {
				b.(*array.Int64Builder).Append(int64(id))
			} else {
				b.AppendNull()
			}
		},
		func(r *Row, _ int, v []any) {
			if id := v[0].(int64); id >= 0 && id < schemas.Relations {
				r.Collected.Relation = schemas.Relation(id).String()
			}
		},
	},
	{
		ColScores, floats, list("float32"), floatLeaf,
		func(b array.Builder, r *Row) {
			l := b.(*array.ListBuilder)
			l.Append(true)
			for _, score := range r.Collected.Scores {
				l.ValueBuilder().(*array.Float32Builder).Append(float32(score))
			}
		},
		func(r *Row, _ int, v []any) {
			for i, score := range v[:min(len(v), schemas.Relations)] {
				r.Collected.Scores[i] = float64(score.(float32))
			}
		},
	},
	float(ColTextIsRepresented, func(r *Row) *float64 { return &r.Collected.TextIsRepresented }),
	float(ColImageAdds, func(r *Row) *float64 { return &r.Collected.ImageAdds }),
	float(ColSimilarity, func(r *Row) *float64 { return &r.Collected.Similarity }),
	{
		ColCluster, arrow.BinaryTypes.String, value("string"), bytesLeaf,
		func(b array.Builder, r *Row) {
			if r.Collected.Cluster == nil {
				b.AppendNull()
			} else {
				b.(*array.StringBuilder).Append(*r.Collected.Cluster)
			}
		},
		func(r *Row, _ int, v []any) { r.Collected.Cluster = new(v[0].(string)) },
	},
	truth(ColNovel, func(r *Row) **bool { return &r.Collected.Novel }),
	text(ColPostID, func(r *Row) *string { return &r.Collected.PostID }),
	{
		ColPair, arrow.PrimitiveTypes.Int32, value("int32"), int32Leaf,
		func(b array.Builder, r *Row) { b.(*array.Int32Builder).Append(int32(r.Collected.Pair)) },
		func(r *Row, _ int, v []any) { r.Collected.Pair = int(v[0].(int32)) },
	},
	text(ColSource, func(r *Row) *string { return &r.Collected.Source }),
	text(ColAuthor, func(r *Row) *string { return &r.Collected.AuthorID }),
	moment(ColCreatedAt, func(r *Row) *time.Time { return &r.Collected.CreatedAt }),
	words(ColLangs, func(r *Row) *[]string { return &r.Collected.Langs }),
	truth(ColSensitive, func(r *Row) **bool { return &r.Collected.Sensitive }),
	text(ColURI, func(r *Row) *string { return &r.Collected.URI }),
	text(ColLicense, func(r *Row) *string { return &r.Collected.License }),
	words(ColOptOuts, func(r *Row) *[]string { return &r.Collected.OptOuts }),
	text(ColResultID, func(r *Row) *string { return &r.Collected.ResultID }),
	text(ColInputTopic, func(r *Row) *string { return &r.Collected.Input.Topic }),
	{
		ColInputPartition, arrow.PrimitiveTypes.Int32, value("int32"), int32Leaf,
		func(b array.Builder, r *Row) { b.(*array.Int32Builder).Append(r.Collected.Input.Partition) },
		func(r *Row, _ int, v []any) { r.Collected.Input.Partition = v[0].(int32) },
	},
	{
		ColInputOffset, arrow.PrimitiveTypes.Int64, value("int64"), int64Leaf,
		func(b array.Builder, r *Row) { b.(*array.Int64Builder).Append(r.Collected.Input.Offset) },
		func(r *Row, _ int, v []any) { r.Collected.Input.Offset = v[0].(int64) },
	},
	text(ColModelName, func(r *Row) *string { return &r.Collected.Model.Name }),
	text(ColModelVersion, func(r *Row) *string { return &r.Collected.Model.Version }),
	text(ColModelDigest, func(r *Row) *string { return &r.Collected.Model.Digest }),
	text(ColConfigDigest, func(r *Row) *string { return &r.Collected.ConfigDigest }),
	text(ColSelectedReason, func(r *Row) *string { return &r.Collected.Selected.Reason }),
	{
		ColProbability, arrow.PrimitiveTypes.Float64, value("float64"), doubleLeaf,
		func(b array.Builder, r *Row) { b.(*array.Float64Builder).Append(r.Collected.Selected.Probability) },
		func(r *Row, _ int, v []any) { r.Collected.Selected.Probability = v[0].(float64) },
	},
	text(ColImageDigest, func(r *Row) *string { return &r.Collected.Image.Digest }),
	{
		ColImageHash, arrow.PrimitiveTypes.Int64, value("int64"), int64Leaf,
		func(b array.Builder, r *Row) {
			if r.ImageHash == nil {
				b.AppendNull()
			} else {
				b.(*array.Int64Builder).Append(*r.ImageHash)
			}
		},
		func(r *Row, _ int, v []any) { r.ImageHash = new(v[0].(int64)) },
	},
	{
		ColTextHash, arrow.BinaryTypes.Binary, value("binary"), bytesLeaf,
		func(b array.Builder, r *Row) {
			if r.TextHash == nil {
				b.AppendNull()
			} else {
				b.(*array.BinaryBuilder).Append(r.TextHash)
			}
		},
		func(r *Row, _ int, v []any) { r.TextHash = []byte(v[0].(string)) },
	},
	moment(ColCollectedAt, func(r *Row) *time.Time { return &r.Collected.CollectedAt }),
}

// text is a column of strings, null where they are empty.
func text(name string, field func(*Row) *string) column {
	return column{
		name, arrow.BinaryTypes.String, value("string"), bytesLeaf,
		func(b array.Builder, r *Row) { putString(b, *field(r)) },
		func(r *Row, _ int, v []any) { *field(r) = v[0].(string) },
	}
}

func float(name string, field func(*Row) *float64) column {
	return column{
		name, arrow.PrimitiveTypes.Float32, value("float32"), floatLeaf,
		func(b array.Builder, r *Row) { b.(*array.Float32Builder).Append(float32(*field(r))) },
		func(r *Row, _ int, v []any) { *field(r) = float64(v[0].(float32)) },
	}
}

func truth(name string, field func(*Row) **bool) column {
	return column{
		name, arrow.FixedWidthTypes.Boolean, value("bool"), boolLeaf,
		func(b array.Builder, r *Row) {
			if at := *field(r); at == nil {
				b.AppendNull()
			} else {
				b.(*array.BooleanBuilder).Append(*at)
			}
		},
		func(r *Row, _ int, v []any) { *field(r) = new(v[0].(bool)) },
	}
}

// moment is a column of times in microseconds, null where they are zero.
func moment(name string, field func(*Row) *time.Time) column {
	return column{
		name, instant, value("timestamp[us, tz=UTC]"), int64Leaf,
		func(b array.Builder, r *Row) {
			if at := *field(r); at.IsZero() {
				b.AppendNull()
			} else {
				b.(*array.TimestampBuilder).Append(arrow.Timestamp(at.UnixMicro()))
			}
		},
		func(r *Row, _ int, v []any) { *field(r) = time.UnixMicro(v[0].(int64)).UTC() },
	}
}

// words is a column of lists of strings, null where there are none.
func words(name string, field func(*Row) *[]string) column {
	return column{
		name, lines, list("string"), bytesLeaf,
		func(b array.Builder, r *Row) {
			l := b.(*array.ListBuilder)
			if len(*field(r)) == 0 {
				l.AppendNull()
				return
			}
			l.Append(true)
			for _, word := range *field(r) {
				l.ValueBuilder().(*array.StringBuilder).Append(word)
			}
		},
		func(r *Row, _ int, v []any) {
			for _, word := range v {
				*field(r) = append(*field(r), word.(string))
			}
		},
	}
}

func putString(b array.Builder, s string) {
	if s == "" {
		b.AppendNull()
		return
	}
	b.(*array.StringBuilder).Append(s)
}

// features is the value of the metadata key huggingface: what datasets makes
// of the columns.
func features() string {
	all := make(feature, len(columns))
	for _, c := range columns {
		all[c.name] = c.feature
	}
	text, err := json.Marshal(feature{"info": feature{"features": all}})
	if err != nil {
		panic(fmt.Sprintf("dataset: features: %v", err)) // strings and maps of them
	}
	return string(text)
}

// Schema returns the shards' Arrow schema. Every column may be null, down to
// the image's two: for required ones datasets forgets that they are an image.
func Schema() *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.name, Type: c.kind, Nullable: true}
	}
	meta := arrow.NewMetadata([]string{"huggingface"}, []string{features()})
	return arrow.NewSchema(fields, &meta)
}
