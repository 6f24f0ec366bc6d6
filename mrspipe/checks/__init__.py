"""What is checked before a scan is analysed, and the code of every problem that can be found."""
