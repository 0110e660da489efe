// Package v3 has the types of an OpenAPI document.
package v3

import (
	"github.com/pb33f/libopenapi/datamodel/high/base"
	"github.com/pb33f/libopenapi/orderedmap"
	"go.yaml.in/yaml/v4"
)

// Document describes an API.
type Document struct {
	Components *Components
	Paths      *Paths
	Info       *Info
}

// Info is about the document.
type Info struct{ Version string }

// Components are schemas by name.
type Components struct {
	Schemas *orderedmap.Map[string, *base.SchemaProxy]
}

// Paths are operations by path.
type Paths struct {
	PathItems *orderedmap.Map[string, *PathItem]
}

// PathItem has a path's operations by method.
type PathItem struct{ Get, Post, Put, Delete, Patch, Head *Operation }

// Operation is one request.
type Operation struct {
	OperationId, Summary, Description string
	Tags                              []string
	Parameters                        []*Parameter
	RequestBody                       *RequestBody
	Responses                         *Responses
	Extensions                        *orderedmap.Map[string, *yaml.Node]
	Deprecated                        *bool
}

// Parameter is a parameter of a request.
type Parameter struct {
	Name, In, Description string
	Required              *bool
	Schema                *base.SchemaProxy
}

// RequestBody is the body of a request.
type RequestBody struct {
	Content *orderedmap.Map[string, *MediaType]
}

// Responses are responses by status.
type Responses struct {
	Codes   *orderedmap.Map[string, *Response]
	Default *Response
}

// Response is one response.
type Response struct {
	Description string
	Content     *orderedmap.Map[string, *MediaType]
}

// MediaType is a body's schema.
type MediaType struct{ Schema *base.SchemaProxy }
