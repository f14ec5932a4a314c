package schemas

import (
	"embed"
	"fmt"
)

//go:generate go test -run TestJSONSchemaFiles -update .

//go:embed post.v1.schema.json result.v1.schema.json cluster.v1.schema.json collected.v1.schema.json takedown.v1.schema.json
var jsonSchemas embed.FS

// JSONSchema returns the JSON Schema (draft 2020-12) of a shape on the wire:
// PostSchema and so on.
func JSONSchema(name string) ([]byte, error) {
	text, err := jsonSchemas.ReadFile(name + ".schema.json")
	if err != nil {
		return nil, fmt.Errorf("schemas: no JSON Schema called %q; there are %s, %s, %s, %s, %s",
			name, PostSchema, ResultSchema, ClusterSchema, CollectedSchema, TakedownSchema)
	}
	return text, nil
}
