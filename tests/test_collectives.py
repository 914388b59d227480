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


def test_long_tuples_and_asynchronous_forms():
    # As XLA writes them: a comment before the sixth part of a tuple; operands, then
    # results, then what belongs to the operation.
    lines = """
  %ar = (f32[20,6]{1,0}, f32[6]{0}, f32[6,10]{1,0}, f32[10]{0}, f32[3]{0}, \
/*index=5*/f32[4]{0}) all-reduce(%a, %b, %c, %d, %e, %f), to_apply=%sum
  %ags = (f32[10]{0}, f32[20]{0}) all-gather-start(%g), dimensions={0}
  %two = ((f32[10]{0}, s8[2]{0}), (f32[20]{0}, s8[4]{0})) all-gather-start(%g, %h)
  %cps = (f32[2,5]{1,0}, f32[2,5]{1,0}, u32[], u32[]) collective-permute-start(%k)
"""
    program = "ENTRY %main (x: f32[3,4]) -> f32[3,4] {" + lines + "}"
    assert [found.num_bytes for found in collectives(program)] == [812, 80, 84, 40]


def test_a_program_without_any():
    assert collectives(PROGRAM.replace("all-", "x-")) == []
