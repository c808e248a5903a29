// Package types stands in for those of heapster's that a command line of that day decodes; the module is not served.
package types

import "time"

type MetricPoint struct {
	Timestamp  time.Time `json:"timestamp"`
	Value      uint64    `json:"value"`
	FloatValue *float64  `json:"floatValue,omitempty"`
}

type MetricResult struct {
	Metrics         []MetricPoint `json:"metrics"`
	LatestTimestamp time.Time     `json:"latestTimestamp"`
}

type MetricResultList struct {
	Items []MetricResult `json:"items"`
}
