using System.Text.Json;
using Gradus.Training.Text;

namespace Gradus.Training.Model;

/// <summary>A model on disk in Hugging Face layout: what stands in the folder beside the weights.</summary>
public static class ModelFolder
{
    private static readonly JsonSerializerOptions indented = new() { WriteIndented = true };

    /// <summary>The files that make a tokenizer; those that exist belong to the model.</summary>
    public static IReadOnlyList<string> TokenizerFiles { get; } =
        ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json", ChatTemplateFiles.ToolTemplate];

    /// <summary>What says what the model is and how it may be used.</summary>
    public static IReadOnlyList<string> CardFiles { get; } = ["README.md", "LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "NOTICE", "USE_POLICY.md"];

    /// <summary>Copies the tokenizer's files, those that are there.</summary>
    public static void CopyTokenizer(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var name in TokenizerFiles)
        {
            var file = Path.Combine(from, name);
            if (!File.Exists(file)) continue;
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(to, name))!);
            File.Copy(file, Path.Combine(to, name), overwrite: true);
        }
    }

    /// <summary>Reads a JSON file of at most 64 levels.</summary>
    /// <param name="largest">In bytes; while it is read, it takes up to thirteen times as many.</param>
    /// <exception cref="InvalidInputException">The file is missing, too large, too deep or not JSON.</exception>
    public static JsonElement ReadJson(string file, long largest = 4 << 20)
    {
        var name = Path.GetFileName(file);
        try
        {
            using var document = JsonDocument.Parse(ModelFile.Read(file, largest));
            return document.RootElement.Clone();
        }
        catch (JsonException error)
        {
            throw new InvalidInputException($"{name} is not JSON: {error.Message}", name);
        }
    }

    internal static void WriteJson(string file, JsonElement json)
    {
        using var stream = File.Create(file);
        WriteJson(stream, json);
    }

    internal static void WriteJson(Stream stream, JsonElement json) => JsonSerializer.Serialize(stream, json, indented);
}
