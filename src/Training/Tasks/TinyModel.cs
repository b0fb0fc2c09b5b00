using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Gradus.Training.Model;
using Gradus.Training.Tasks.RunningSums;

namespace Gradus.Training.Tasks;

/// <summary>
/// The built-in model <c>tiny</c>: a Llama of 0.8 million parameters (4 layers, width 128, 4 heads) with a word-level tokenizer whose tokens carry
/// their spaces, digits one by one, so that every text of the running sums comes back unchanged. A Hugging Face folder like any other, untrained.
/// </summary>
public static class TinyModel
{
    public const string Id = "tiny";
    private const string Pad = "<pad>", End = "<eos>", Unknown = "<unk>";

    /// <summary>A message is a line "User: ..."; an answer follows "Assistant:" and ends with the end token. It knows no system message.</summary>
    private const string ChatTemplate =
        "{% for message in messages %}{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n' }}" +
        "{% elif message['role'] == 'assistant' %}{{ 'Assistant:' + message['content'] + eos_token }}{% endif %}{% endfor %}" +
        "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

    /// <summary>The tokens in order of their ids.</summary>
    internal static IReadOnlyList<string> Vocabulary { get; } =
    [
        Pad, End, Unknown, .. Marks.All, .. Enumerable.Range(0, 10).Select(digit => $"{digit}"), .. Words.English.All, .. Words.Chinese.All,
        NumberWords.FromEnglish, NumberWords.FromChinese, .. NumberWords.Pairs.Select(pair => pair.English), .. NumberWords.Pairs.Select(pair => pair.Chinese),
    ];

    /// <summary>Writes the whole folder, made where it is not there; the untrained weights are those of <see cref="BuiltIn.Seed"/>.</summary>
    public static void Write(string folder)
    {
        WriteWithoutWeights(folder);
        TinyWeights.Write(ModelConfig.Read(folder), BuiltIn.Seed, Path.Combine(folder, "model.safetensors"));
    }

    /// <summary>Writes config.json, generation_config.json, tokenizer.json and tokenizer_config.json.</summary>
    internal static void WriteWithoutWeights(string folder)
    {
        Directory.CreateDirectory(folder);
        WriteFile("config.json", Config());
        WriteFile("generation_config.json", new JsonObject { ["eos_token_id"] = 1, ["pad_token_id"] = 0 });
        WriteFile("tokenizer.json", TokenizerFile());
        WriteFile("tokenizer_config.json", new JsonObject
        {
            ["tokenizer_class"] = "PreTrainedTokenizerFast",
            ["eos_token"] = End,
            ["pad_token"] = Pad,
            ["unk_token"] = Unknown,
            ["model_max_length"] = 256,
            ["clean_up_tokenization_spaces"] = false,
            ["chat_template"] = ChatTemplate,
        });

        void WriteFile(string name, JsonObject content) => File.WriteAllText(Path.Combine(folder, name), content.ToJsonString(new() { WriteIndented = true }) + "\n");
    }

    private static JsonObject Config() => new()
    {
        ["architectures"] = new JsonArray("LlamaForCausalLM"),
        ["model_type"] = "llama",
        ["vocab_size"] = Vocabulary.Count,
        ["hidden_size"] = 128,
        ["intermediate_size"] = 336,
        ["num_hidden_layers"] = 4,
        ["num_attention_heads"] = 4,
        ["num_key_value_heads"] = 4,
        ["head_dim"] = 32,
        ["hidden_act"] = "silu",
        ["max_position_embeddings"] = 256,
        ["rms_norm_eps"] = 1e-6,
        ["rope_theta"] = 10000.0,
        ["attention_bias"] = false,
        ["mlp_bias"] = false,
        ["tie_word_embeddings"] = true,
        ["eos_token_id"] = 1,
        ["pad_token_id"] = 0,
        ["torch_dtype"] = "float32",
    };

    private static JsonObject TokenizerFile()
    {
        var vocabulary = new JsonObject();
        foreach (var token in Vocabulary) vocabulary[token] = vocabulary.Count;
        var pattern = string.Join('|', Vocabulary.Skip(3).OrderByDescending(token => token.Length).ThenBy(token => token, StringComparer.Ordinal).Select(Regex.Escape));
        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray(Special(0, Pad), Special(1, End), Special(2, Unknown)),
            ["normalizer"] = null,
            ["pre_tokenizer"] = new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = pattern }, ["behavior"] = "Isolated", ["invert"] = false },
            ["post_processor"] = null,
            ["decoder"] = new JsonObject { ["type"] = "Fuse" },
            ["model"] = new JsonObject { ["type"] = "WordLevel", ["vocab"] = vocabulary, ["unk_token"] = Unknown },
        };
    }

    private static JsonObject Special(int id, string content) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
        ["special"] = true,
    };
}
