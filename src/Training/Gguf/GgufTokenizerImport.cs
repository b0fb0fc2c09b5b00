using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Model;

namespace Gradus.Training.Gguf;

/// <summary>Writes tokenizer.json and tokenizer_config.json of a GGUF file's vocabulary, as the published files of these tokenizers look.</summary>
internal static class GgufTokenizerImport
{
    private static readonly JsonWriterOptions options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, Indented = true };

    public static void Write(GgufFile source, int rows, string folder)
    {
        var vocabulary = GgufVocabulary.Read(source, rows);
        using (var stream = File.Create(Path.Combine(folder, "tokenizer.json")))
        using (var json = new Utf8JsonWriter(stream, options))
        {
            WriteTokenizer(json, vocabulary, source.Path);
        }
        ModelFolder.WriteJson(Path.Combine(folder, "tokenizer_config.json"), Config(vocabulary, source.Metadata));
    }

    private static void WriteTokenizer(Utf8JsonWriter json, GgufVocabulary vocabulary, string file)
    {
        var pairs = vocabulary.Model == GgufVocabulary.BytePairs;
        var pre = vocabulary.Pre is { } name ? GgufPreTokenizer.Of(name) : null;
        json.WriteStartObject();
        json.WriteString("version", "1.0");
        json.WriteNull("truncation");
        json.WriteNull("padding");
        WriteAdded(json, vocabulary);
        Part("normalizer", pairs ? (pre!.Nfc ? new JsonObject { ["type"] = "NFC" } : null) : SentencePieceParts.Normalizer(vocabulary.AddSpacePrefix));
        Part("pre_tokenizer", pre?.Json());
        Part("post_processor", PostProcessor(vocabulary));
        Part("decoder", pairs ? new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = true, ["trim_offsets"] = true, ["use_regex"] = true } : SentencePieceParts.Decoder(vocabulary.AddSpacePrefix));
        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        json.WriteNull("dropout");
        if (!pairs && vocabulary.Special.TryGetValue("unknown", out var unknown)) json.WriteString("unk_token", vocabulary.Tokens[unknown]);
        else json.WriteNull("unk_token");
        json.WriteNull("continuing_subword_prefix");
        json.WriteNull("end_of_word_suffix");
        json.WriteBoolean("fuse_unk", !pairs);
        json.WriteBoolean("byte_fallback", !pairs);
        json.WriteBoolean("ignore_merges", pre?.IgnoreMerges ?? false);
        WriteVocabulary(json, vocabulary);
        json.WriteStartArray("merges");
        foreach (var (left, right) in pairs ? Known(vocabulary, file) : SentencePieceParts.Merges(vocabulary))
        {
            json.WriteStartArray();
            json.WriteStringValue(left);
            json.WriteStringValue(right);
            json.WriteEndArray();
        }
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();

        void Part(string field, JsonObject? part)
        {
            json.WritePropertyName(field);
            if (part is null) json.WriteNullValue();
            else part.WriteTo(json);
        }
    }

    /// <summary>Control tokens are found in the text first and are special; so are those that a user added, which are not.</summary>
    private static void WriteAdded(Utf8JsonWriter json, GgufVocabulary vocabulary)
    {
        json.WriteStartArray("added_tokens");
        for (var id = 0; id < vocabulary.Tokens.Length; id++)
        {
            if (vocabulary.Types[id] is not (GgufTokenType.Control or GgufTokenType.UserDefined or GgufTokenType.Unknown)) continue;
            json.WriteStartObject();
            json.WriteNumber("id", id);
            json.WriteString("content", vocabulary.Tokens[id]);
            json.WriteBoolean("single_word", false);
            json.WriteBoolean("lstrip", false);
            json.WriteBoolean("rstrip", false);
            json.WriteBoolean("normalized", false);
            json.WriteBoolean("special", vocabulary.Types[id] != GgufTokenType.UserDefined);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>Without what only fills byte-level vocabularies up to the embedding's rows ("[PAD151900]").</summary>
    private static void WriteVocabulary(Utf8JsonWriter json, GgufVocabulary vocabulary)
    {
        json.WriteStartObject("vocab");
        for (var id = 0; id < vocabulary.Tokens.Length; id++)
        {
            if (vocabulary.Types[id] != GgufTokenType.Unused || vocabulary.Model == GgufVocabulary.SentencePiece) json.WriteNumber(vocabulary.Tokens[id], id);
        }
        json.WriteEndObject();
    }

    /// <summary>The merges, whose parts and results must be tokens.</summary>
    private static (string Left, string Right)[] Known(GgufVocabulary vocabulary, string file)
    {
        var tokens = new HashSet<string>(vocabulary.Tokens, StringComparer.Ordinal);
        foreach (var (left, right) in vocabulary.Merges)
        {
            if (!tokens.Contains(left) || !tokens.Contains(right) || !tokens.Contains(left + right)) throw GgufHeader.Wrong(file, $"tokenizer.ggml.merges holds '{left} {right}', of which the parts or the result are no tokens");
        }
        return vocabulary.Merges;
    }

    private static JsonObject? PostProcessor(GgufVocabulary vocabulary)
    {
        if (!vocabulary.AddBegin && !vocabulary.AddEnd) return null;
        var special = new JsonObject();
        JsonObject Token(string word)
        {
            var (id, text) = (vocabulary.Special[word], vocabulary.Tokens[vocabulary.Special[word]]);
            special[text] = new JsonObject { ["id"] = text, ["ids"] = new JsonArray(id), ["tokens"] = new JsonArray(text) };
            return new JsonObject { ["SpecialToken"] = new JsonObject { ["id"] = text, ["type_id"] = 0 } };
        }
        JsonArray Around(params string[] sequences)
        {
            var parts = new JsonArray();
            foreach (var sequence in sequences)
            {
                if (vocabulary.AddBegin) parts.Add(Token("bos"));
                parts.Add(new JsonObject { ["Sequence"] = new JsonObject { ["id"] = sequence, ["type_id"] = sequence == "A" ? 0 : 1 } });
                if (vocabulary.AddEnd) parts.Add(Token("eos"));
            }
            return parts;
        }
        return new JsonObject { ["type"] = "TemplateProcessing", ["single"] = Around("A"), ["pair"] = Around("A", "B"), ["special_tokens"] = special };
    }

    private static JsonElement Config(GgufVocabulary vocabulary, GgufMetadata metadata)
    {
        var json = new JsonObject { ["tokenizer_class"] = "PreTrainedTokenizerFast", ["clean_up_tokenization_spaces"] = false, ["add_bos_token"] = vocabulary.AddBegin, ["add_eos_token"] = vocabulary.AddEnd };
        foreach (var (name, word) in new[] { ("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding") })
        {
            if (vocabulary.Special.TryGetValue(word, out var id)) json[name] = vocabulary.Tokens[id];
        }
        if (metadata.Text("tokenizer.chat_template") is { } template)
        {
            var named = (metadata.Texts("tokenizer.chat_templates") ?? []).Where(name => name != "default")
                .Select(name => (Name: name, Template: metadata.Text($"tokenizer.chat_template.{name}"))).Where(one => one.Template is not null).ToArray();
            json["chat_template"] = named.Length == 0 ? template : new JsonArray([
                new JsonObject { ["name"] = "default", ["template"] = template }, .. named.Select(one => new JsonObject { ["name"] = one.Name, ["template"] = one.Template })]);
        }
        return JsonSerializer.SerializeToElement(json);
    }
}
