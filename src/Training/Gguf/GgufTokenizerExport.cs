using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Model;
using Gradus.Training.Text;

namespace Gradus.Training.Gguf;

/// <summary>A folder's tokenizer.json, tokenizer_config.json and chat template as <c>tokenizer.ggml.*</c>, which llama.cpp reads.</summary>
internal static class GgufTokenizerExport
{
    private const string Space = "\u2581";

    public static void Add(GgufWriter writer, string folder, ModelConfig config)
    {
        var json = JsonObject.Create(ModelFolder.ReadJson(Path.Combine(folder, "tokenizer.json"))) ?? throw Wrong("it is no object");
        var settingsFile = Path.Combine(folder, "tokenizer_config.json");
        var settings = File.Exists(settingsFile) ? JsonObject.Create(ModelFolder.ReadJson(settingsFile)) ?? [] : [];
        try
        {
            Add(writer, json, settings, folder, config);
        }
        catch (InvalidOperationException error)
        {
            throw Wrong($"a part has another type than the format says: {error.Message}");
        }
    }

    private static void Add(GgufWriter writer, JsonObject json, JsonObject settings, string folder, ModelConfig config)
    {
        if (json["model"] is not JsonObject model || (string?)model["type"] is not "BPE" and var kind) throw new InvalidInputException($"A tokenizer of the model '{json["model"]?["type"]}' cannot be written to a GGUF file; supported: BPE.", "tokenizer.json", "unknown_value");
        var pieces = (bool?)model["byte_fallback"] == true;
        var (tokens, types) = Tokens(json, model, config.VocabularySize, pieces);
        (string Left, string Right)[] merges = [.. (model["merges"] as JsonArray ?? []).Select(Merge)];
        if (pieces)
        {
            writer.Add("tokenizer.ggml.model", GgufVocabulary.SentencePiece);
            writer.Add("tokenizer.ggml.pre", "default");
        }
        else
        {
            writer.Add("tokenizer.ggml.model", GgufVocabulary.BytePairs);
            writer.Add("tokenizer.ggml.pre", Pre(json));
        }
        writer.Add("tokenizer.ggml.tokens", tokens);
        if (pieces) writer.Add("tokenizer.ggml.scores", Scores(tokens, types, merges));
        writer.Add("tokenizer.ggml.token_type", types.Select(type => (int)type).ToArray());
        if (!pieces) writer.Add("tokenizer.ggml.merges", merges.Select(merge => $"{merge.Left} {merge.Right}").ToArray());
        else writer.Add("tokenizer.ggml.add_space_prefix", SpacePrefix(json));

        int? Id(string name) => Content(settings[name]) is { } text && Array.IndexOf(tokens, text) is >= 0 and var id ? id : null;
        void AddId(string word, int? id)
        {
            if (id is { } number) writer.Add($"tokenizer.ggml.{word}_token_id", (uint)number);
        }
        var begin = Id("bos_token") ?? config.BeginToken;
        var end = Id("eos_token") ?? (config.EndTokens is [var first, ..] ? first : null);
        AddId("bos", begin);
        AddId("eos", end);
        AddId("unknown", Id("unk_token") ?? (Array.IndexOf(tokens, (string?)model["unk_token"]) is >= 0 and var unknown ? unknown : null));
        AddId("padding", Id("pad_token") ?? config.PadToken);
        // llama.cpp ends at these, too.
        int[] others = [.. config.EndTokens.Where(id => id != end).Distinct()];
        AddId("eot", others.Length > 0 ? others[0] : null);
        AddId("eom", others.Length > 1 ? others[1] : null);
        writer.Add("tokenizer.ggml.add_bos_token", begin is { } bos && Adds(json, settings, "add_bos_token", tokens[bos]));
        writer.Add("tokenizer.ggml.add_eos_token", end is { } eos && Adds(json, settings, "add_eos_token", tokens[eos]));
        if (ChatTemplateFiles.Read(folder) is { } template)
        {
            writer.Add("tokenizer.chat_template", template.Source);
            if (template.ToolSource is not { } tools) return;
            writer.Add("tokenizer.chat_templates", (string[])["tool_use"]);
            writer.Add("tokenizer.chat_template.tool_use", tools);
        }
    }

    /// <summary>All rows of the embedding: rows without a token are filled as llama.cpp's converter does.</summary>
    private static (string[] Tokens, GgufTokenType[] Types) Tokens(JsonObject json, JsonObject model, int rows, bool pieces)
    {
        var tokens = new string?[rows];
        var types = new GgufTokenType[rows];
        void Put(string token, int id, GgufTokenType type)
        {
            if (id < 0 || id >= rows) throw Wrong($"token '{token}' has the id {id}, but the embedding has {rows} rows");
            (tokens[id], types[id]) = (token, type);
        }
        foreach (var (token, id) in model["vocab"] as JsonObject ?? throw Wrong("model.vocab is no object"))
        {
            Put(token, (int)id!, pieces && token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>' ? GgufTokenType.Byte : GgufTokenType.Normal);
        }
        foreach (var added in json["added_tokens"] as JsonArray ?? [])
        {
            var content = (string)added!["content"]!;
            Put(content, (int)added["id"]!, pieces && content == (string?)model["unk_token"] ? GgufTokenType.Unknown : (bool?)added["special"] == true ? GgufTokenType.Control : GgufTokenType.UserDefined);
        }
        for (var id = 0; id < rows; id++)
        {
            if (tokens[id] is null) Put(string.Create(CultureInfo.InvariantCulture, $"[PAD{id}]"), id, GgufTokenType.Unused);
        }
        return ([.. tokens.Select(token => token!)], types);
    }

    private static (string Left, string Right) Merge(JsonNode? merge)
    {
        if (merge is JsonArray pair && pair.Count == 2) return ((string)pair[0]!, (string)pair[1]!);
        var text = (string)merge!;
        var at = text.IndexOf(' ', 1);
        return at > 0 ? (text[..at], text[(at + 1)..]) : throw Wrong($"the merge '{text}' is not two tokens");
    }

    private static string Pre(JsonObject json)
    {
        if (json["normalizer"] is JsonObject normalizer && (string?)normalizer["type"] != "NFC" && !((string?)normalizer["type"] == "Sequence" && normalizer["normalizers"] is JsonArray { Count: 0 }))
        {
            throw new InvalidInputException($"A tokenizer with the normalizer '{normalizer["type"]}' cannot be written to a GGUF file; supported: none, NFC.", "tokenizer.json", "unknown_value");
        }
        return GgufPreTokenizer.Like(json["pre_tokenizer"])?.Names[0]
            ?? throw new InvalidInputException("The pre_tokenizer of tokenizer.json is none that llama.cpp has under a name known here; it cannot be written to a GGUF file.", "tokenizer.json", "unknown_value");
    }

    /// <summary>
    /// Scores that give the order of the merges: llama.cpp joins what makes the token of the highest score, so a token's is minus the rank of the first merge that
    /// makes it. What no merge makes comes after all of them.
    /// </summary>
    private static float[] Scores(string[] tokens, GgufTokenType[] types, (string Left, string Right)[] merges)
    {
        var ranks = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (left, right) in merges) ranks.TryAdd(left + right, ranks.Count);
        return [.. tokens.Select((token, id) => types[id] == GgufTokenType.Normal ? -(float)ranks.GetValueOrDefault(token, ranks.Count + id) : 0)];
    }

    private static bool SpacePrefix(JsonObject json)
    {
        if (json["pre_tokenizer"] is JsonObject pre) return (string?)pre["type"] == "Metaspace" && (string?)pre["replacement"] == Space ? (string?)pre["prepend_scheme"] != "never" : throw Unlike();
        JsonObject[] steps = json["normalizer"] is not JsonObject normalizer ? [] : normalizer["normalizers"] is JsonArray list ? [.. list.OfType<JsonObject>()] : [normalizer];
        var kinds = steps.Select(step => (string?)step["type"]).ToArray();
        return kinds is ["Prepend", "Replace"] ? true : kinds is ["Replace"] ? false : throw Unlike();

        static InvalidInputException Unlike() => new("The tokenizer.json has byte fallback, but marks spaces in another way than SentencePiece; it cannot be written to a GGUF file.", "tokenizer.json", "unknown_value");
    }

    /// <summary>Whether a text gets the token: by the post-processor where it has a template, otherwise by the setting.</summary>
    private static bool Adds(JsonObject json, JsonObject settings, string setting, string token)
    {
        var post = json["post_processor"] as JsonObject;
        IEnumerable<JsonObject> parts = post?["processors"] is JsonArray list ? list.OfType<JsonObject>() : post is null ? [] : [post];
        if (parts.FirstOrDefault(part => (string?)part["type"] == "TemplateProcessing") is not { } template) return (bool?)settings[setting] == true;
        return (template["single"] as JsonArray ?? []).Any(item => (string?)item?["SpecialToken"]?["id"] == token);
    }

    private static string? Content(JsonNode? token) => token is JsonObject added ? (string?)added["content"] : token is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    private static InvalidInputException Wrong(string what) => new($"tokenizer.json is refused: {what}.", "tokenizer.json");
}
