"""The field's benchmarks: their metrics, their files, and reports beside the published figures."""
