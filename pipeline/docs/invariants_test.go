// Package docs checks what the documents in this folder claim about the code.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A line names a folder, then tests in it.
func checkTests(t *testing.T, doc []byte) {
	t.Helper()
	names := regexp.MustCompile("`((?:pipeline|connectors|stages|model|schemas)[a-z0-9/]*|(?:Test|Fuzz)[A-Z]\\w*)`")
	folder, named := "", map[string][]string{}
	for _, m := range names.FindAllSubmatch(doc, -1) {
		if name := string(m[1]); name[0] >= 'a' {
			folder = name
		} else {
			named[folder] = append(named[folder], name)
		}
	}
	require.NotEmpty(t, named)
	for folder, tests := range named {
		var code []byte
		files, err := filepath.Glob(filepath.Join("..", "..", folder, "*_test.go"))
		require.NoError(t, err)
		for _, f := range files {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			code = append(code, text...)
		}
		for _, test := range tests {
			assert.Regexp(t, `(?m)^func `+test+`\(`, string(code), "%s in %s", test, folder)
		}
	}
}

func TestInvariantsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("invariants.md")
	require.NoError(t, err)
	checkTests(t, doc)
	assert.Len(t, regexp.MustCompile(`(?m)^[1-8]\. \*\*`).FindAll(doc, -1), 8, "invariants")
}

func TestSecurityNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "..", "SECURITY.md"))
	require.NoError(t, err)
	checkTests(t, doc)
}
