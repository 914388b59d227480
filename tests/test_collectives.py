"""Collectives read from the text of programs."""

from jaxnets.collectives import Collective, collectives

# Cut from what XLA writes; the names and shapes are by hand.
PROGRAM = """HloModule jit_f, is_scheduled=true, num_partitions=2

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %add = f32[] add(%a, %b)
}

%inner (p: f32[3,4]) -> f32[3,4] {
  %p = f32[3,4]{1,0} parameter(0)
  ROOT %all-reduce.1 = f32[3,4]{1,0} all-reduce(%p), channel_id=1, to_apply=%sum
}

%body (state: (s32[], f32[3,4])) -> (s32[], f32[3,4]) {
  %state = (s32[], f32[3,4]{1,0}) parameter(0)
  %call = f32[3,4]{1,0} call(%x), to_apply=%inner
}

ENTRY %main (x: f32[3,4]) -> f32[3,4] {
  %while = (s32[], f32[3,4]{1,0}) while(%init), condition=%cond, body=%body
  %start = (f32[10]{0}, s32[]) all-reduce-start(%y, %z), to_apply=%sum
  %done = (f32[10]{0}, s32[]) all-reduce-done(%start)
  %gather = bf16[8,2]{1,0} all-gather(%w), dimensions={0}
  ROOT %copy = f32[3,4]{1,0} copy(%get)
}
"""


def test_kinds_bytes_and_loops():
    assert collectives(PROGRAM) == [
        Collective("all-reduce", 48, True),  # called from the loop's body
        Collective("all-reduce", 44, False),  # started and done: once
        Collective("all-gather", 32, False),
    ]


def test_a_program_without_any():
    assert collectives(PROGRAM.replace("all-", "x-")) == []
