// Package libopenapi stands in for the module of that name, a quarter of the build of Pulumi's CLI
// that only `pulumi cloud api` uses: it has the types that this command needs to compile, and reads
// no document.
package libopenapi

import (
	"errors"

	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// Document is what NewDocument never returns.
type Document struct{}

// DocumentModel holds a document's model.
type DocumentModel struct{ Model v3.Document }

// NewDocument fails.
func NewDocument([]byte) (*Document, error) {
	return nil, errors.New("this build of Pulumi has no `pulumi cloud api`: install the official release")
}

// BuildV3Model is never called.
func (*Document) BuildV3Model() (*DocumentModel, error) { return nil, nil }
