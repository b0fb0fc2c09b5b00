namespace Gradus.Training.Model;

/// <summary>Refuses attention that does not reach back to the first token, in each of the ways a config says it.</summary>
internal static class WindowReader
{
    /// <param name="positions">A window that is no smaller hides nothing.</param>
    public static void Refuse(ConfigFields fields, string family, int positions)
    {
        fields.NotTrue("use_sliding_window");
        var window = fields.Number("sliding_window");
        // Qwen writes a window down that use_sliding_window turns off; Mistral has one of 4096 where nothing is said.
        if (family == "mistral" && !fields.Has("sliding_window")) window = 4_096;
        var applies = family switch
        {
            "qwen2" or "qwen3" => false,
            "mistral" => window < positions,
            _ => window is not null,
        };
        if (applies) throw fields.Unsupported("sliding_window", $"{window}", family == "mistral" ? $"null, or at least max_position_embeddings ({positions})" : "null");
        foreach (var type in fields.List("layer_types")?.EnumerateArray() ?? default)
        {
            if (type.ToString() != "full_attention") throw fields.Unsupported("layer_types", type.ToString(), "full_attention");
        }
    }
}
