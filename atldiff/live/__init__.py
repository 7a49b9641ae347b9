"""A portrait that speaks live: sound in, pictures out, chunk by chunk in constant memory."""
