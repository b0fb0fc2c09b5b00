using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Model;

namespace Gradus.Training.Gguf;

/// <summary>Turns a GGUF file into a model folder in Hugging Face layout. Nothing of the file is executed or believed; what it asks for and we have not is refused by name.</summary>
public static class GgufImport
{
    /// <summary>llama.cpp's words for the tokens that end an answer: of a text, of a turn, of a message.</summary>
    private static readonly string[] endWords = ["eos", "eot", "eom"];

    /// <summary>
    /// Writes config.json, generation_config.json, tokenizer.json, tokenizer_config.json with the chat template, and the weights (F32, F16 and BF16 as they are,
    /// quantised ones as F32; shards of at most 5 GB).
    /// </summary>
    /// <param name="folder">Is made; where it exists it must be empty. After a failure it is as it was before.</param>
    /// <exception cref="InvalidInputException">The file is damaged, lies, or holds what is not supported; the message says what.</exception>
    public static void Convert(string file, string folder)
    {
        var existed = Directory.Exists(folder);
        if (existed && Directory.EnumerateFileSystemEntries(folder).Any()) throw new InvalidInputException($"The folder {Path.GetFileName(Path.TrimEndingDirectorySeparator(folder))} is not empty.", "folder");
        using var source = GgufFile.Open(file);
        var config = GgufConfig.Read(source);
        try
        {
            Directory.CreateDirectory(folder);
            ModelFolder.WriteJson(Path.Combine(folder, "config.json"), JsonSerializer.SerializeToElement(config.Json));
            ModelFolder.WriteJson(Path.Combine(folder, "generation_config.json"), GenerationConfig(source.Metadata, config.Shape.VocabularySize));
            ModelCard.Write(source, folder);
            GgufTokenizerImport.Write(source, config.Shape.VocabularySize, folder);
            GgufWeightsImport.Write(source, [.. config.Family.Weights(config.Shape)], folder);
        }
        catch
        {
            Clear(folder, existed);
            throw;
        }
    }

    private static JsonElement GenerationConfig(GgufMetadata metadata, int vocabulary)
    {
        var json = new JsonObject();
        int[] ends = [.. endWords.Select(word => GgufVocabulary.TokenId(metadata, word, vocabulary)).OfType<int>().Distinct()];
        if (ends.Length > 0) json["eos_token_id"] = new JsonArray([.. ends.Select(end => (JsonNode)end)]);
        if (GgufVocabulary.TokenId(metadata, "bos", vocabulary) is { } begin) json["bos_token_id"] = begin;
        if (GgufVocabulary.TokenId(metadata, "padding", vocabulary) is { } pad) json["pad_token_id"] = pad;
        return JsonSerializer.SerializeToElement(json);
    }

    private static void Clear(string folder, bool existed)
    {
        if (!Directory.Exists(folder)) return;
        foreach (var path in Directory.EnumerateFiles(folder)) File.Delete(path);
        if (!existed) Directory.Delete(folder);
    }
}
