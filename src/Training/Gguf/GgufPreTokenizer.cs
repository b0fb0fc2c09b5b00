using System.Text.Json.Nodes;

namespace Gradus.Training.Gguf;

/// <summary>
/// How a byte-level tokenizer cuts text: llama.cpp's word for it (<c>tokenizer.ggml.pre</c>; llama-vocab.cpp has its patterns) and the same as the
/// published tokenizer.json files have it.
/// </summary>
/// <param name="Names">llama.cpp's words; the first is written.</param>
/// <param name="Nfc">Text is composed (Unicode's form C) first.</param>
/// <param name="IgnoreMerges">A piece that is a token stays whole, whatever the merges.</param>
/// <param name="AddBegin">A text begins with the begin token, where the file does not say.</param>
/// <param name="Json">tokenizer.json's <c>pre_tokenizer</c>.</param>
internal sealed record GgufPreTokenizer(string[] Names, bool Nfc, bool IgnoreMerges, bool AddBegin, Func<JsonObject> Json)
{
    // Some of DeepSeek's letters have the same look, and the same composed form, as others: they are written by their numbers.
    private const string
        Rest = @" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Contraction = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|",
        Cased = @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
        DeepSeekWords = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
        DeepSeekLetters = "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1F7Dᾀ-ᾴᾶ-ᾼ\u1FBEῂ-ῄῆ-ῌῐ-\u1FD3ῖ-\u1FDBῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212A-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
        DeepSeekMarks = "\\s?[!-/:-~！-／：-～‘-‟　-。]+";

    private static readonly GgufPreTokenizer[] all =
    [
        new(["smollm"], false, false, false, () => Sequence(Digits(), ByteLevel(true))),
        new(["gpt-2", "default"], false, false, false, () => ByteLevel(true)),
        new(["llama-bpe", "llama3", "llama-v3"], false, true, true, () => Sequence(Split(Contraction + @"\p{N}{1,3}|" + Rest), ByteLevel(false))),
        new(["qwen2", "deepseek-r1-qwen"], true, false, false, () => Sequence(Split(Contraction + @"\p{N}|" + Rest), ByteLevel(false))),
        new(["deepseek-v3"], false, false, false, () => Sequence(Split(@"\p{N}{1,3}"), Split("[一-龥぀-ゟ゠-ヿ]+"), Split(DeepSeekWords), ByteLevel(false))),
        new(["deepseek-llm"], false, false, false, () => Sequence(
            Split("[\r\n]"), Split(DeepSeekLetters), Split(DeepSeekMarks), Split(@"\s+(?![\s\S])"), Split("[一-龥ࠀ-一가-퟿]+"), Digits(), ByteLevel(false))),
        new(["tekken"], false, true, true, () => Sequence(Split(Cased + @"\p{N}|" + Rest.Replace(@"[\r\n]*|\s*", @"[\r\n/]*|\s*", StringComparison.Ordinal)), ByteLevel(false))),
    ];

    /// <exception cref="InvalidInputException">It is another one; the message says which are known.</exception>
    public static GgufPreTokenizer Of(string name) => all.FirstOrDefault(one => one.Names.Contains(name))
        ?? throw new InvalidInputException($"The pre-tokenizer '{name}' of a GGUF file is not supported; supported: {string.Join(", ", all.SelectMany(one => one.Names))}.", "tokenizer.ggml.pre", "unknown_value");

    /// <summary>The one that cuts as a tokenizer.json's <c>pre_tokenizer</c> does; null where none is known to.</summary>
    public static GgufPreTokenizer? Like(JsonNode? preTokenizer)
    {
        var wanted = Steps(preTokenizer).ToArray();
        return all.FirstOrDefault(one => Steps(one.Json()).SequenceEqual(wanted));
    }

    /// <summary>What a pre-tokenizer does, step by step, without the fields that only move offsets.</summary>
    private static IEnumerable<string> Steps(JsonNode? part)
    {
        if (part is not JsonObject json) return [];
        return (string?)json["type"] switch
        {
            "Sequence" => (json["pretokenizers"] as JsonArray ?? []).SelectMany(Steps),
            "ByteLevel" => [(bool?)json["use_regex"] == false ? "bytes" : "gpt-2", .. (bool?)json["add_prefix_space"] == true ? ["space"] : Array.Empty<string>()],
            "Digits" => [$"digits {(bool?)json["individual_digits"] == true}"],
            "Split" => [$"{(string?)json["behavior"]} {(bool?)json["invert"] == true} {json["pattern"]?["Regex"] ?? json["pattern"]}"],
            var other => [$"{other}"],
        };
    }

    private static JsonObject Sequence(params JsonObject[] parts) => new() { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray([.. parts]) };

    private static JsonObject Split(string regex) => new() { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = regex }, ["behavior"] = "Isolated", ["invert"] = false };

    private static JsonObject Digits() => new() { ["type"] = "Digits", ["individual_digits"] = true };

    private static JsonObject ByteLevel(bool useRegex) => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = useRegex };
}
