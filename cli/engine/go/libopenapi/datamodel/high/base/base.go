// Package base has the types of a schema.
package base

import (
	"github.com/pb33f/libopenapi/orderedmap"
	"go.yaml.in/yaml/v4"
)

// Schema is a JSON schema.
type Schema struct {
	Type                         []string
	Format, Description, Pattern string
	Required                     []string
	AllOf, OneOf, AnyOf          []*SchemaProxy
	Properties                   *orderedmap.Map[string, *SchemaProxy]
	Items, AdditionalProperties  *DynamicValue
	Discriminator                *Discriminator
	Extensions                   *orderedmap.Map[string, *yaml.Node]
	Enum                         []*yaml.Node
	Default                      *yaml.Node
	ReadOnly, Nullable           *bool
	MinLength, MaxLength         *int64
	Minimum, Maximum, MultipleOf *float64
}

// GoLow returns nil.
func (*Schema) GoLow() *Low { return nil }

// MarshalJSONInline returns nothing.
func (*Schema) MarshalJSONInline() ([]byte, error) { return nil, nil }

// Low is the parsed form of a schema.
type Low struct{}

// Hash returns 0.
func (*Low) Hash() uint64 { return 0 }

// SchemaProxy refers to a schema.
type SchemaProxy struct{}

// Schema returns nil.
func (*SchemaProxy) Schema() *Schema { return nil }

// DynamicValue is a schema or a boolean.
type DynamicValue struct {
	A *SchemaProxy
	B bool
}

// IsA tells whether it is a schema.
func (*DynamicValue) IsA() bool { return false }

// Discriminator tells the variants of a schema apart.
type Discriminator struct {
	PropertyName string
	Mapping      *orderedmap.Map[string, string]
}
