package decode_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
)

// What decode takes as a post, the published JSON Schema allows. (The reverse
// does not hold: a schema knows nothing of limits, or of two fields with one
// name. And a delete counts whatever is wrong with the fields it doesn't need.)
func TestAcceptedPostsMatchJSONSchema(t *testing.T) {
	t.Parallel()
	text, err := schemas.JSONSchema(schemas.PostSchema)
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource(schemas.PostSchema, doc))
	schema, err := compiler.Compile(schemas.PostSchema)
	require.NoError(t, err)

	files, err := filepath.Glob("testdata/post-*.in.json")
	require.NoError(t, err)
	checked := 0
	for _, name := range files {
		golden, err := os.ReadFile(name[:len(name)-len(".in.json")] + ".golden.json")
		require.NoError(t, err)
		if !bytes.Contains(golden, []byte(`"outcome": "result"`)) {
			continue
		}
		value, err := os.ReadFile(name)
		require.NoError(t, err)
		post, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
		require.NoError(t, err)
		assert.NoError(t, schema.Validate(post), name)
		checked++
	}
	assert.GreaterOrEqual(t, checked, 4)
}
