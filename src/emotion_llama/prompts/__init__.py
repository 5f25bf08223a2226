"""From a clip's transcript and measurements to the text and placeholders that the language model is given."""

from emotion_llama.prompts.builder import Turn, build_prompt, prompt_from_text, prompt_text
from emotion_llama.prompts.layouts import LAYOUTS, SLOTS, Layout, Segment, layout_named
from emotion_llama.prompts.tasks import TARGET_RULES, TASKS, instruction_pool, pick_instruction, target_text

__all__ = [
    "LAYOUTS",
    "SLOTS",
    "TARGET_RULES",
    "TASKS",
    "Layout",
    "Segment",
    "Turn",
    "build_prompt",
    "instruction_pool",
    "layout_named",
    "pick_instruction",
    "prompt_from_text",
    "prompt_text",
    "target_text",
]
