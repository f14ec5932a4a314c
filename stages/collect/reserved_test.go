package collect_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/stages/collect"
)

// xmp is a packet as editors write it.
func xmp(value string) string {
	return `<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">` +
		`<rdf:Description xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" plus:DataMining="http://ns.useplus.org/ldf/vocab/` + value + `"/></rdf:RDF></x:xmpmeta>`
}

// withChunk puts a chunk behind the header of a small PNG.
func withChunk(t testing.TB, kind, body string) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 2, 2))))
	const header = 8 + 25
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	chunk = append(append(chunk, kind...), body...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	return append(append(bytes.Clone(b.Bytes()[:header]), chunk...), b.Bytes()[header:]...)
}

func deflated(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, err := z.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

// short takes the checksum off, and a little more.
func short(s string) string { return s[:len(s)-6] }

func TestReserved(t *testing.T) {
	t.Parallel()
	const plain, packed = "XML:com.adobe.xmp\x00\x00\x00\x00\x00", "XML:com.adobe.xmp\x00\x01\x00en\x00xmp\x00"
	jpeg := func(value string) []byte {
		return []byte("\xff\xd8\xff\xe1\x01\x00http://ns.adobe.com/xap/1.0/\x00" + xmp(value) + "\xff\xd9")
	}
	for name, c := range map[string]struct {
		data []byte
		want bool
	}{
		"JPEG, prohibited":         {jpeg("DMI-PROHIBITED"), true},
		"JPEG, prohibited for AI":  {jpeg("DMI-PROHIBITED-AIMLTRAINING"), true},
		"JPEG, generative":         {jpeg("DMI-PROHIBITED-GENAIMLTRAINING"), true},
		"JPEG, but search engines": {jpeg("DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING"), true},
		"JPEG, allowed":            {jpeg("DMI-ALLOWED"), false},
		"JPEG, unspecified":        {jpeg("DMI-UNSPECIFIED"), false},
		"PNG, plain":               {withChunk(t, "iTXt", plain+xmp("DMI-PROHIBITED")), true},
		"PNG, compressed":          {withChunk(t, "iTXt", packed+deflated(t, xmp("DMI-PROHIBITED"))), true},
		"PNG, compressed, allowed": {withChunk(t, "iTXt", packed+deflated(t, xmp("DMI-ALLOWED"))), false},
		"PNG, cut off inside":      {withChunk(t, "iTXt", packed+short(deflated(t, xmp("DMI-PROHIBITED")))), true},
		"PNG, a bomb":              {withChunk(t, "iTXt", packed+deflated(t, strings.Repeat("\x00", 50<<20)+xmp("DMI-PROHIBITED"))), false},
		"PNG, no zlib":             {withChunk(t, "iTXt", packed+"nonsense"), false},
		"PNG, no XMP":              {withChunk(t, "iTXt", "Comment\x00\x00\x00\x00\x00hello"), false},
		"PNG, without a language":  {withChunk(t, "iTXt", "XML:com.adobe.xmp\x00\x01\x00"), false},
		"PNG, a length that lies":  {[]byte("\x89PNG\r\n\x1a\n\xff\xff\xff\xffiTXtXML:com.adobe.xmp\x00"), false},
		"nothing":                  {nil, false},
	} {
		require.Equal(t, c.want, collect.Reserved(c.data), name)
	}
}

// FuzzReserved looks into any bytes: they are strangers' images.
func FuzzReserved(f *testing.F) {
	f.Add(withChunk(f, "iTXt", "XML:com.adobe.xmp\x00\x01\x00en\x00xmp\x00"+deflated(f, xmp("DMI-PROHIBITED"))))
	f.Add(withChunk(f, "iTXt", "XML:com.adobe.xmp\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("DMI-PROHIBITED")) && !collect.Reserved(data) {
			t.Error("it says so in plain words")
		}
		collect.Reserved(data)
	})
}
