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

    /// <summary>Reads a JSON file of at most 64 MB and 64 levels.</summary>
    /// <exception cref="InvalidInputException">The file is missing, too large, too deep or not JSON.</exception>
    public static JsonElement ReadJson(string file)
    {
        var name = Path.GetFileName(file);
        if (!File.Exists(file)) throw new InvalidInputException($"There is no {name} in {Path.GetDirectoryName(file)}.", name, "missing");
        if (new FileInfo(file).Length > 64 << 20) throw new InvalidInputException($"{name} is larger than 64 MB.", name, "out_of_range");
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
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
