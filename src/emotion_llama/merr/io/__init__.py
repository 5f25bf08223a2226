"""A build out in the formats that others read, files of others in, and checks of both."""
