"""What `EndpointChat` is made of: addresses without secrets, faults in plain words, replies of all dialects.

Nothing here imports `openai`: the faults of its client are recognised by what they carry.
"""

__all__: list[str] = []
