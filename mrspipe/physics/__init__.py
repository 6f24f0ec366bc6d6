"""What is known: constants, relaxation, spin systems and line shapes, each number with its source."""
