"""Why something was not measured, in Chinese: the English sentences of the analysis document, one by one."""

from __future__ import annotations

import re
from functools import cache

# What a sentence leaves open is {}, in the order in which it comes; a part that is itself such a sentence is put into
# Chinese too. A reason that is not here stays in English, marked as such: a wrong translation would be worse.
_REASONS = {
    "no subtitle was given, none lies beside the clip, and no recogniser was asked for":
        "没有提供字幕，片段旁边也没有字幕文件，也没有要求语音识别",
    "no words were recognised": "没有识别到话语",
    "the given subtitle is empty": "提供的字幕是空的",
    "the file beside the clip cannot be used: {}": "片段旁边的文件无法使用（{}）",
    "no speech was heard in this segment": "这一段没有听到说话",
    "nothing was said in this segment": "这一段没有人说话",
    "the face was not seen in this segment": "这一段没有看到面部",
    "the face is turned away (by {} degrees or more) in {} of {} frames, which were not measured":
        "面部在 {1}/{2} 帧中转开（{0} 度以上），这些帧没有测量",
    "the mouth is covered in {} of {} frames, where {} were not measured":
        "嘴在 {}/{} 帧中被遮住，这些帧没有测量 {}",
    "the file has no video": "文件没有画面",
    "faces were not looked for": "没有要求查找面部",
    "the video has no readable frame": "画面没有可读的帧",
    "no face was found in {} frames": "在 {} 帧中没有找到面部",
    "no person in {}": "{} 中没有人",
    "the file has no sound": "文件没有声音",
    "the sound track holds no samples": "音轨是空的",
    "the voice of this segment is taken to be nobody's in view: {}": "这一段的声音不属于画面中的人：{}",
    "the voice of this segment is taken to be person {}'s: {}": "这一段的声音属于第 {} 个人：{}",
    "the voice of this segment is somebody else's: {}": "这一段的声音是别人的：{}",
    "{} is person {}": "{} 是第 {} 个人",
    "{} is nobody whose lips move with it": "{} 不是画面中嘴唇随之而动的人",
    "the lips move in {} % of {} s of speech": "{1} 秒说话中只有 {0} % 的时间嘴唇在动",
    "lips move during {} % of the speech": "说话时有 {} % 的时间嘴唇在动",
    "nobody's lips move during the speech (at most {} % of it), and that is the main person":
        "说话时没有人的嘴唇在动（至多 {} %），因此归于主要人物",
    "no face is in view during the speech, and that is the main person": "说话时画面中没有面部，因此归于主要人物",
    "nothing tells who speaks, and that is the main person": "无法判断谁在说话，因此归于主要人物",
    "the {} s of speech have no pitch: whispered, or covered by noise": "{} 秒的说话没有音高：是耳语，或被噪声盖住",
    "neither pitch nor tempo can be measured in {} s of speech": "在 {} 秒的说话中测不出音高和语速",
    "the sound is no voice: its {} of {} {} is {} the {} {} of voices": "这不是人的嗓音：有一项声学数值超出人声范围",
    "no single voice stands out: with a harmonicity of {} dB and a level within {} dB it is a crowd, or {}":
        "没有突出的单个声音：谐噪比 {} 分贝、音量变化 {} 分贝，是人群或被噪声盖住",
    "singing or music: {} of the pitch are held notes, which differ by {} semitones (standard deviation)":
        "是唱歌或音乐：{} 的音高是长音，相差 {} 个半音（标准差）",
    "only {} s are voiced, {} s are needed": "只有 {} 秒有音高，需要 {} 秒",
    "its pitch spans {} semitones, which is music or more than one voice": "音高跨度有 {} 个半音，是音乐或不止一人",
    "too few figures could be measured": "能测的数值太少",
    "{}: no speech was found to recognise": "{}：没有可识别的说话",
    "{}: no subtitle was found in {} pictures": "{}：在 {} 张画面中没有找到字幕",
    "it was not measured": "没有测量",
}  # fmt: skip
_VOICES = {
    "ordinary": "普通的声音", "bright": "明亮的音色", "dark": "暗的音色", "evenly loud": "音量均匀的声音",
    "unevenly loud": "音量起伏大的声音", "unsteady": "不稳的声音", "noisy": "带噪的声音",
}  # fmt: skip
WHATS = {
    "action_units": "面部动作", "action_units.turned_away": "转开的面部", "action_units.mouth": "被遮住的嘴",
    "peak_frame": "表情最强的一刻", "prosody": "声音", "tone": "语气", "transcript": "话语", "the face": "面部",
    "the face's movement": "面部动作", "the voice": "声音", "given": "用户提供", "screen text": "画面字幕",
}  # fmt: skip


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    def pattern(english: str) -> re.Pattern[str]:
        return re.compile("(.+?)".join(re.escape(part) for part in english.split("{}")))

    # The fuller a sentence is of its own words, the surer it is meant.
    ranked = sorted(_REASONS, key=lambda english: -len(english.replace("{}", "")))
    return [(pattern(english), _REASONS[english]) for english in ranked]


def in_chinese(reason: str) -> str | None:
    """A reason of the document in Chinese; None where there is no translation of it."""
    for pattern, chinese in _patterns():
        if found := pattern.fullmatch(reason):
            return chinese.format(*(in_chinese(part) or part for part in found.groups()))
    parts = [in_chinese(part) for part in reason.split("; ")] if "; " in reason else [None]
    return "；".join(str(part) for part in parts) if None not in parts else None


def voice_in_chinese(phrase: str, tones: dict[str, str]) -> str:
    """The phrase of a voice's cue, "a rising voice", in Chinese; `tones` are the words of the tone."""
    word = re.sub("^an? | voice$", "", phrase)
    return _VOICES.get(word) or tones.get(word, phrase)
