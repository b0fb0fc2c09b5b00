using System.Text;
using System.Text.Json;
using Gradus.Training.Model;

namespace Gradus.Training.Text;

/// <summary>What a Hugging Face folder says of its chat template.</summary>
/// <param name="ToolSource">The template named <c>tool_use</c>, of a list of templates or a file of its own.</param>
/// <param name="FileName">The file that holds it.</param>
internal sealed record ChatTemplateFiles(string Source, string? ToolSource, IReadOnlyDictionary<string, string> SpecialTokens, string FileName)
{
    /// <summary>Where a template for chats with tools stands, in new folders.</summary>
    public const string ToolTemplate = "additional_chat_templates/tool_use.jinja";

    private const long LargestFile = 8L << 20;

    private static readonly string[] tokenNames = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];

    /// <summary>The <c>eos_token</c> of a folder; null where it names none.</summary>
    public static string? EndToken(string folder) => ModelFile.Checked("tokenizer_config.json", () =>
    {
        var tokens = new Dictionary<string, string>(StringComparer.Ordinal);
        AddTokens(Json(Path.Combine(folder, "special_tokens_map.json")), tokens);
        AddTokens(Json(Path.Combine(folder, "tokenizer_config.json")), tokens);
        return tokens.GetValueOrDefault("eos_token");
    });

    public static ChatTemplateFiles? Read(string folder) => ModelFile.Checked("tokenizer_config.json", () => ReadFiles(folder));

    private static ChatTemplateFiles? ReadFiles(string folder)
    {
        var config = Json(Path.Combine(folder, "tokenizer_config.json"));
        var tokens = new Dictionary<string, string>(StringComparer.Ordinal);
        AddTokens(Json(Path.Combine(folder, "special_tokens_map.json")), tokens);
        AddTokens(config, tokens);
        var separate = Text(Path.Combine(folder, ToolTemplate));
        if (Text(Path.Combine(folder, "chat_template.jinja")) is { } source) return new ChatTemplateFiles(source, separate, tokens, "chat_template.jinja");
        if (Field(config, "tokenizer_config.json") is { } named) return new ChatTemplateFiles(named.Source, separate ?? named.ToolSource, tokens, "tokenizer_config.json");
        return Field(Json(Path.Combine(folder, "chat_template.json")), "chat_template.json") is { } processor ? new ChatTemplateFiles(processor.Source, separate ?? processor.ToolSource, tokens, "chat_template.json") : null;
    }

    private static (string Source, string? ToolSource)? Field(JsonElement json, string file)
    {
        if (json.ValueKind != JsonValueKind.Object || !json.TryGetProperty("chat_template", out var template)) return null;
        return template.ValueKind switch
        {
            JsonValueKind.String => (template.GetString()!, null),
            JsonValueKind.Array when Named(template, "default") is { } source => (source, Named(template, "tool_use")),
            JsonValueKind.Null => null,
            _ => throw new InvalidInputException($"{file}: 'chat_template' must be a text or a list of {{name, template}} with one named 'default'.", "chat_template"),
        };
    }

    private static string? Text(string path) => File.Exists(path) ? Encoding.UTF8.GetString(ModelFile.Read(path, LargestFile)).TrimStart('\uFEFF') : null;

    private static string? Named(JsonElement list, string name) => list.EnumerateArray()
        .Where(entry => entry.ValueKind == JsonValueKind.Object && TokenizerJson.Text(entry, "name") == name)
        .Select(entry => TokenizerJson.Text(entry, "template"))
        .FirstOrDefault();

    private static void AddTokens(JsonElement config, Dictionary<string, string> tokens)
    {
        if (config.ValueKind != JsonValueKind.Object) return;
        foreach (var name in tokenNames)
        {
            if (!config.TryGetProperty(name, out var value)) continue;
            if (value.ValueKind == JsonValueKind.String) tokens[name] = value.GetString()!;
            else if (value.ValueKind == JsonValueKind.Object && TokenizerJson.Text(value, "content") is { } content) tokens[name] = content;
        }
    }

    private static JsonElement Json(string path) => File.Exists(path) ? ModelFolder.ReadJson(path, LargestFile) : default;
}
