"""Voice agents with a face: adapters of a live portrait for LiveKit Agents and Pipecat."""
